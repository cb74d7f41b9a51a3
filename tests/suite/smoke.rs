use wgrad::autograd::*;
use wgrad::*;

#[test]
fn smoke() -> Result<()> {
    let dev = Device::cpu();
    let x = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &dev).requires_grad_(true)?;
    let y = (&x * &x * 3.0 + 2.0).mean();
    println!("{y:?} {x:?}");
    y.backward()?;
    println!("{:?}", x.grad().unwrap());
    let z = x.pow(3.0).sum();
    let g = grad(&[&z], &[&x], GradOptions { create_graph: true, ..Default::default() })?.remove(0).unwrap();
    println!("{g:?}");
    let h = grad(&[&g.sum()], &[&x], Default::default())?.remove(0).unwrap();
    println!("{h:?}");
    let s = x.softmax(1);
    println!("{s:?} {:?}", x.log_softmax(0));
    let loss = x.cross_entropy(&Tensor::new([0, 1], &dev));
    x.zero_grad();
    loss.backward()?;
    println!("{loss:?} {:?}", x.grad());
    let a = &x * 2.0;
    a.select(0, 1).mul_(10.0)?;
    println!("{a:?}");
    x.zero_grad();
    a.sum().backward()?;
    println!("{:?}", x.grad());
    println!("{:?}", x.max_dim(1, false));
    println!("{:?}", Tensor::cat(&[x.clone(), a], 1));
    let mut c = Tensor::ones([4], &dev).requires_grad_(true)?;
    let x0 = c.clone();
    let t = std::time::Instant::now();
    for _ in 0..100_000 { c = c + 1.0; }
    println!("record {:?}", t.elapsed());
    c.sum().backward()?;
    println!("backward {:?} {:?}", t.elapsed(), x0.grad());
    drop(c);
    println!("all {:?}", t.elapsed());
    Ok(())
}
