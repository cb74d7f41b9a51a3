//! A kernel of one's own: heat flows on a torus by a stencil in WGSL, and gradients through it find where the heat was.
//!
//!     cargo run --release --example custom_kernel
//!     cargo run --release --example custom_kernel -- --device twin --steps 5
//!
//! The kernel is one value: WGSL for GPUs, a closure for the CPU, and a gradient rule. A twin runs both, and compares.

#[path = "common/mod.rs"]
mod common;

use clap::Parser;
use common::{Common, Result};
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Instant;
use wgrad::{Data, Kernel, KernelOptions, Tensor, optim::Adam};

/// Finds the temperatures of the past from those of the present.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Steps of the optimizer
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
}

/// Cells of the torus in each direction.
const SIZE: usize = 24;
/// How often heat flows to the neighbours.
const FLOWS: usize = 10;
/// How much of a difference flows at once.
const RATE: f64 = 0.2;

const WGSL: &str = "
@group(0) @binding(0) var<uniform> size: vec2<u32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn at(col: u32, row: u32) -> f32 {
  return x[row % size.y * size.x + col % size.x];
}

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < size.x && id.y < size.y) {
    let beside = at(id.x + 1u, id.y) + at(id.x + size.x - 1u, id.y);
    let above = at(id.x, id.y + 1u) + at(id.x, id.y + size.y - 1u);
    y[id.y * size.x + id.x] = beside + above - 4.0 * at(id.x, id.y);
  }
}
";

/// Registered once, checked then, and compiled once on each device.
static LAPLACIAN: LazyLock<Kernel> = LazyLock::new(|| {
    let on_the_cpu = |call: &wgrad::KernelCall| {
        let (x, [cols, rows]) = (call.input::<f32>(0), [0, 1].map(|d| call.params[d] as usize));
        let at = |col: usize, row: usize| x[row % rows * cols + col % cols];
        let flow = |i: usize| {
            let (col, row) = (i % cols, i / cols);
            let beside = at(col + 1, row) + at(col + cols - 1, row);
            beside + at(col, row + 1) + at(col, row + rows - 1) - 4.0 * at(col, row)
        };
        Data::F32((0..x.len()).map(flow).collect())
    };
    Kernel::new("laplacian", WGSL, on_the_cpu)
        .expect("the text above is WGSL")
        // What flows from one cell to another flows back as much, so the operation is its own adjoint: the rule is the kernel
        // once more, and has derivatives of any order.
        .with_gradient(|call| vec![Some(laplacian(call.g))])
});

/// How much each cell of a torus has less than its four neighbours.
fn laplacian(x: &Tensor) -> Tensor {
    let [rows, cols] = [x.shape()[0] as u32, x.shape()[1] as u32];
    let options = KernelOptions { params: vec![cols, rows], workgroups: Some([cols.div_ceil(8), rows.div_ceil(8), 1]) };
    LAPLACIAN.call(&[x], x.shape(), options)
}

/// The temperatures later.
fn later(x: &Tensor) -> Tensor {
    (0..FLOWS).fold(x.clone(), |x, _| &x + laplacian(&x) * RATE)
}

fn main() -> ExitCode {
    let args = Args::parse();
    common::run("custom_kernel", || example(&args))
}

fn example(args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    let dev = args.common.open()?;
    // Two hot spots, of which later only a blur is left.
    let past = Tensor::zeros([SIZE, SIZE], &dev);
    past.narrow(0, 4, 6).narrow(1, 4, 6).fill_(1.0)?;
    past.narrow(0, 14, 4).narrow(1, 11, 8).fill_(2.0)?;
    let present = later(&past);

    // The same stencil of the crate's own operations has the same gradient.
    let x = Tensor::randn([SIZE, SIZE], &dev).requires_grad_(true)?;
    let rolls = [(1, 0), (-1, 0), (1, 1), (-1, 1)].map(|(shift, dim)| x.roll([shift], [dim]));
    let composed = rolls.into_iter().fold(&x * -4.0, |y, roll| y + roll);
    composed.square().sum().backward()?;
    let wanted = x.grad().expect("x is a leaf");
    x.set_grad(None);
    laplacian(&x).square().sum().backward()?;
    let apart = (x.grad().expect("x is a leaf") - wanted).abs().max().item()?;
    println!("gradients of the kernel and of four rolls are {apart:.1e} apart");

    let guess = Tensor::full([SIZE, SIZE], 0.5f32, &dev).requires_grad_(true)?;
    let mut adam = Adam::new([&guess], 0.05);
    let mut losses = Vec::new();
    for step in 0..=args.steps {
        adam.zero_grad();
        let loss = (later(&guess) - &present).square().sum();
        loss.backward()?;
        if step % 20 == 0 || step == args.steps {
            let error = (&guess - &past).abs().mean().item()?;
            losses.push(loss.item()?);
            println!("step {step:3}: loss {:.5}, past temperatures {error:.3} off", loss.item()?);
        }
        adam.step()?;
    }
    for row in guess.to_vec::<f32>()?.chunks(SIZE).step_by(2) {
        println!(
            "  {}",
            row.iter().map(|x| [' ', '.', 'o', '#'][(x * 1.5 + 0.5).clamp(0.0, 3.0) as usize]).collect::<String>()
        );
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("loss {:.5} -> {:.5} in {} steps; {seconds:.1} s", losses[0], losses[losses.len() - 1], args.steps);
    args.common.report(serde_json::json!({
        "device": dev.name(), "gradients_apart": apart, "losses": losses, "seconds": seconds,
    }));
    Ok(if apart < 1e-3 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
