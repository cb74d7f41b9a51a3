use wgrad::{DType, Device, Result, Tensor};

/// The leaves and the results.
pub fn program(dev: &Device) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
    let x0 = &Tensor::from_slice(&[0.15452170372009277, 1.4515717029571533, 1.7009716033935547, -1.9669463634490967, -0.6271319389343262, 0.9076592922210693], [2, 3], dev).requires_grad_(true)?;
    let x1 = &Tensor::from_slice(&[-2.0, 0.0, -1.0, 2.0, -2.0, 3.0], [2, 3], (dev, DType::I32));
    let y0 = &((x0.sigmoid() * 3.8 + 0.2).sqrt());
    let y1 = &(y0.sum_dim([1], true));
    let y2 = &({ let y = x0.copy(); y.narrow(1, 0, 1).add_(y1)?; y });
    let y3 = &(y2.gather(1, &Tensor::from_slice(&[1, 1, 1, 2, 2, 1], [2, 3], &y2.device())));
    let y4 = &(y3.cast(DType::F16));
    Ok((vec![x0.clone(), x1.clone()], vec![y4.clone()]))
}

fn main() -> Result<()> {
    for dev in [Device::cpu(), Device::gpu()?] {
        let (leaves, results) = program(&dev)?;
        let parts = results.iter().filter(|y| y.requires_grad());
        let loss = parts.map(|y| (y * (y * 0.5 + 1.0)).sum().cast(DType::F32)).reduce(|a, b| a + b);
        loss.map_or(Ok(()), |loss| loss.backward())?;
        println!("{}", dev.name());
        for y in results.iter().chain(&leaves.iter().filter_map(Tensor::grad).collect::<Vec<_>>()) {
            println!("{:?}", y.to_data()?.to_f64());
        }
    }
    Ok(())
}
