use std::time::Instant;
use wgrad::{Device, Tensor};
fn time(name: &str, f: impl Fn() -> Tensor) {
    let dev = f().device();
    dev.flush().unwrap();
    let mut t: Vec<f64> = (0..15)
        .map(|_| {
            let s = Instant::now();
            let y = f();
            dev.flush().unwrap();
            dev.sync().unwrap();
            let e = s.elapsed().as_secs_f64() * 1e3;
            drop(y);
            e
        })
        .collect();
    t.sort_by(f64::total_cmp);
    println!("{name:30} {:8.3} ms", t[7]);
}
fn main() {
    let dev = Device::named(&std::env::args().nth(1).unwrap_or("cpu".into())).unwrap();
    let x = Tensor::randn([1024, 1024], &dev);
    let y = Tensor::randn([1024, 1024], &dev);
    let b = Tensor::randn([1024], &dev);
    let c = x.gt(0.0);
    dev.flush().unwrap();
    time("add", || &x + &y);
    time("add number", || &x + 1.0);
    time("add row", || &x + &b);
    time("add transposed", || &x + y.t());
    time("copy transposed", || y.t().copy());
    time("mul", || &x * &y);
    time("div", || &x / &y);
    time("gt", || x.gt(&y));
    time("where", || Tensor::where_(&c, &x, &y));
    time("relu", || x.relu());
    time("exp", || x.exp());
    time("ln", || x.abs().ln());
    time("tanh", || x.tanh());
    time("sigmoid", || x.sigmoid());
    time("sin", || x.sin());
    time("sqrt", || x.abs().sqrt());
    time("pow", || x.abs().pow(1.7));
    time("sum", || x.sum());
    time("sum 0", || x.sum_dim(0, false));
    time("sum 1", || x.sum_dim(1, false));
    time("max", || x.max());
    time("amax 1", || x.amax(1, false));
    time("softmax 1", || x.softmax(1));
    time("argmax 1", || x.argmax(1, false));
    time("argsort 1", || x.argsort(1, false));
    time("cat", || Tensor::cat(&[x.clone(), y.clone()], 0));
    let i = Tensor::randint(0, 1024, [1024], &dev);
    time("index_select", || x.index_select(0, &i));
    let z = Tensor::zeros([1024, 1024], &dev);
    let j = i.reshape([1024, 1]).expand([1024, 1024]);
    time("scatter_add", || z.scatter_add(0, &j, &x));
    time("matmul 512", || x.narrow(0, 0, 512).narrow(1, 0, 512).matmul(&y.narrow(0, 0, 512).narrow(1, 0, 512)));
    time("randn", || Tensor::randn([1024, 1024], &dev));
}
