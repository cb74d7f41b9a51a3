//! A tour of autograd: what five introductions to PyTorch's autograd show, line by line, in Rust.
//!
//!     cargo run --release --example autograd_tour
//!
//! Each line that starts with `show!` prints its own source and what it gives, and compares that with what stands
//! behind `=>`: today's PyTorch gives the same. Where an introduction is out of date or wrong, the comment says so.

#[path = "../common/mod.rs"]
mod common;
#[macro_use]
mod show;

use clap::Parser;
use common::{Common, Result};
use show::{Gives, note, title};
use std::process::ExitCode;
use wgrad::autograd::{GradOptions, grad_of, no_grad};
use wgrad::{BackwardOptions, DType, Device, Tensor};

/// Shows what autograd does, line by line.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let args = Args::parse();
    common::run("autograd_tour", || example(&args))
}

fn example(args: &Args) -> Result<ExitCode> {
    let start = std::time::Instant::now();
    let dev = args.common.open()?;
    leaves_and_results(&dev)?;
    vectors_and_tracking(&dev)?;
    several_passes(&dev)?;
    control_flow_and_hooks(&dev)?;
    a_layer_by_hand(&dev)?;
    let ((lines, wrong), seconds) = (show::counts(), start.elapsed().as_secs_f64());
    println!("\n{lines} lines, {wrong} of them not as in PyTorch; wrote no files");
    args.common.report(serde_json::json!({ "device": dev.name(), "lines": lines, "wrong": wrong, "seconds": seconds }));
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// For the last backward over a graph.
const LAST: BackwardOptions = BackwardOptions { retain_graph: Some(false), create_graph: false, inputs: None };
/// For one that others shall follow.
const KEEP: BackwardOptions = BackwardOptions { retain_graph: Some(true), create_graph: false, inputs: None };

fn leaves_and_results(dev: &Device) -> Result {
    title("1. Leaves and results");
    note("A leaf is what the user made. With the flag on, what is computed from it knows the node that made it.");
    show!(let a = Tensor::ones([2, 2], dev).requires_grad_(true)? => "[[1.0, 1.0], [1.0, 1.0]]");
    show!(let b = &a + 2.0 => "[[3.0, 3.0], [3.0, 3.0]] <AddBackward0>");
    show!(b.requires_grad() => "true");
    note("The introduction shows none for a second such tensor: output left over from a run without the flag.");
    show!(Tensor::ones([2, 2], dev).requires_grad_(true)? + 2.0 => "[[3.0, 3.0], [3.0, 3.0]] <AddBackward0>");
    show!(let u = Tensor::ones([2, 2], dev) + 2.0 => "[[3.0, 3.0], [3.0, 3.0]]");
    show!(let c = &b * &b * 3.0 => "[[27.0, 27.0], [27.0, 27.0]] <MulBackward0>");
    show!(let out = c.mean() => "27.0 <MeanBackward0>");
    note("d/da mean(3 (a + 2)²) = 3 (a + 2) / 2. The introduction shows an error here, from that same untracked run:");
    show!(out.backward()?);
    show!(a.grad() => "[[4.5, 4.5], [4.5, 4.5]]");
    note("... which is what an untracked result does give.");
    show!(u.mean().backward() => "error");
    note("A stored gradient is a tensor like others, and not tracked. Results store none ...");
    show!(a.grad().map(|g| g.requires_grad()) => "Some(false)");
    show!(b.grad() => "None");
    show!(c.grad() => "None");
    note("... unless they are asked to: d out/dc = 1/4, d out/db = 6 b / 4.");
    show!(let b = &a + 2.0);
    show!(let c = &b * &b * 3.0);
    show!(b.retain_grad()?);
    show!(c.retain_grad()?);
    show!(c.mean().backward()?);
    show!(b.grad() => "[[4.5, 4.5], [4.5, 4.5]]");
    show!(c.grad() => "[[0.25, 0.25], [0.25, 0.25]]");
    note("A hook sees a gradient on its way. y = 3 x, z = y²: dz/dy = 6, dz/dx = 18. One element may have any shape.");
    show!(let x = Tensor::ones([1, 1], dev).requires_grad_(true)?);
    show!(let y = 3.0 * &x);
    show!(y.register_hook(|g| {
        println!("      hook: {}", g.gives());
        None
    })?);
    show!(y.pow(2.0).backward()?);
    show!(x.grad() => "[[18.0]]");
    note("Backward frees what the graph has saved, so a second one fails, and leaves the gradients as they are.");
    show!(let p = Tensor::ones([2, 2], dev).requires_grad_(true)?);
    show!(let o = ((&p + 2.0) * (&p + 2.0) * 3.0).mean());
    show!(o.backward_with(None, KEEP)?);
    show!(p.grad() => "[[4.5, 4.5], [4.5, 4.5]]");
    note("With the graph retained it can be done again. Gradients add up.");
    show!(o.backward()?);
    show!(p.grad() => "[[9.0, 9.0], [9.0, 9.0]]");
    show!(o.backward() => "error");
    show!(p.grad() => "[[9.0, 9.0], [9.0, 9.0]]");
    note("Of a result with several elements, backward wants weights: one-hot weights pick one element.");
    show!(let x = Tensor::new([[1.0, 2.0, 3.0, 4.0]], dev).requires_grad_(true)?);
    show!(let z = 2.0 * &x => "[[2.0, 4.0, 6.0, 8.0]] <MulBackward0>");
    show!(let loss = z.sum_dim(1, false) => "[20.0] <SumBackward1>");
    show!(z.backward_with(Some(&Tensor::new([[1.0, 0.0, 0.0, 0.0]], dev)), KEEP)?);
    show!(x.grad() => "[[2.0, 0.0, 0.0, 0.0]]");
    note("Without setting the gradient to zero in between, the second would add to the first.");
    show!(x.grad().unwrap().zero_()?);
    show!(z.backward_with(Some(&Tensor::new([[0.0, 1.0, 0.0, 0.0]], dev)), KEEP)?);
    show!(x.grad() => "[[0.0, 2.0, 0.0, 0.0]]");
    note("All ones give the gradient of the sum, which is the same as backward from the sum, given ones or nothing.");
    show!(z.backward_with(Some(&Tensor::ones([1, 4], dev)), KEEP)?);
    show!(x.grad() => "[[2.0, 4.0, 2.0, 2.0]]");
    show!(x.zero_grad());
    show!(loss.backward_with(None, KEEP)?);
    show!(x.grad() => "[[2.0, 2.0, 2.0, 2.0]]");
    show!(loss.backward_with(Some(&Tensor::ones([1], dev)), LAST)?);
    show!(x.grad() => "[[4.0, 4.0, 4.0, 4.0]]");
    note("Without retaining, as the introduction has it: a product saves its factors, and they were freed.");
    show!(z.backward_with(Some(&Tensor::ones([1, 4], dev)), LAST) => "error");
    show!(Tensor::ones([3, 5], dev).shape().to_vec() => "[3, 5]");
    show!(Tensor::ones([3, 5], dev).size(1) => "5");
    Ok(())
}

fn vectors_and_tracking(dev: &Device) -> Result {
    title("2. Vectors, and switching tracking on and off");
    show!(let x = Tensor::new([[1.0, 3.0], [2.0, 2.0]], dev).requires_grad_(true)? => "[[1.0, 3.0], [2.0, 2.0]]");
    note("Integers have no gradients: to ask for one is a mistake, and panics. catch makes it an error.");
    show!(wgrad::catch(|| Tensor::new([[1, 3], [2, 2]], dev).requires_grad_(true)).flatten() => "error");
    show!(let y = &x + 2.0 => "[[3.0, 5.0], [4.0, 4.0]] <AddBackward0>");
    show!(3.0 * y.pow(2.0) => "[[27.0, 75.0], [48.0, 48.0]] <MulBackward0>");
    show!(x.matmul(&x) => "[[7.0, 9.0], [6.0, 10.0]] <MmBackward0>");
    note("Products are elementwise; the introduction's comment speaks of a dot product.");
    show!(let z = &y * &y => "[[9.0, 25.0], [16.0, 16.0]] <MulBackward0>");
    show!(let out = z.mean() => "16.5 <MeanBackward0>");
    show!(out.backward()?);
    show!(x.grad() => "[[1.5, 2.5], [2.0, 2.0]]");
    note("The flag can be switched on later, in place: the tensor becomes a leaf, whatever it was made from.");
    show!(let a = Tensor::new([2.0, 2.0], dev) * 3.0 => "[6.0, 6.0]");
    show!(a.requires_grad_(true)?.is_leaf() => "true");
    show!(let b = (&a * &a).sum() => "72.0 <SumBackward0>");
    show!(b.backward()?);
    show!(a.grad() => "[12.0, 12.0]");
    note("A new tensor is untracked. (PyTorch's setter has True as its default, not False as a text says.)");
    show!(Tensor::zeros([1], dev).requires_grad() => "false");
    show!(let x = Tensor::new([3.0], dev).requires_grad_(true)?);
    show!(let y = 2.0 * &x + &x * &x * 3.0 => "[33.0] <AddBackward0>");
    show!(y.backward()?);
    show!(x.grad() => "[20.0]");
    note("Without weights, a single element has the weight 1.");
    show!(let t = Tensor::new(3.0, dev).requires_grad_(true)?);
    show!((&t * &t).backward_with(Some(&Tensor::new(1.0, dev)), LAST)?);
    show!(t.grad() => "6.0");
    note("Several elements have none: not by default, and not from one number.");
    show!(let t = Tensor::new([1.0, 2.0], dev).requires_grad_(true)?);
    show!((&t * &t).backward() => "error");
    show!((&t * &t).backward_with(Some(&Tensor::new(1.0, dev)), LAST) => "error");
    show!(let x = Tensor::new([3.0, 4.0, 6.0], dev).requires_grad_(true)?);
    show!((&x * &x * 3.0).backward_with(Some(&Tensor::new([1.0, 1.0, 2.0], dev)), LAST)?);
    show!(x.grad() => "[18.0, 24.0, 72.0]");
    note("An untracked tensor may be changed in place. Then g³ + 3 g, with weights v: v (3 g² + 3).");
    show!(let g = Tensor::new([[1.0, 1.0, 1.0], [2.0, 3.0, 4.0]], dev));
    show!(g.add_(g.ones_like())?.requires_grad_(true)? => "[[2.0, 2.0, 2.0], [3.0, 4.0, 5.0]]");
    show!(let v = Tensor::new([[1.0, 1.0, 2.0], [2.0, 2.0, 2.0]], dev));
    show!((&g * &g * &g + 3.0 * &g).backward_with(Some(&v), LAST)?);
    show!(g.grad() => "[[15.0, 15.0, 30.0], [60.0, 102.0, 156.0]]");
    show!(let h = g.detach().copy().requires_grad_(true)?);
    show!((&h * &h * &h).backward_with(Some(&v), LAST)?);
    show!(h.grad() => "[[12.0, 12.0, 24.0], [54.0, 96.0, 150.0]]");
    note("The graph is what was done: here a loop that doubles until the norm is 100, so 2⁷ times.");
    show!(let x = Tensor::new([0.7491, 1.0516, -0.0123], dev).requires_grad_(true)?);
    show!(let y = double_to(100.0, &x)? => "[95.8848, 134.6048, -1.5744] <MulBackward0>");
    show!(y.backward_with(Some(&Tensor::new([0.1, 1.0, 0.0001], dev)), LAST)?);
    show!(x.grad() => "[12.8, 128.0, 0.0128]");
    note("Nothing is recorded while a no_grad guard lives, nor from a leaf whose flag is off.");
    show!(let x = Tensor::randn([3], dev).requires_grad_(true)?);
    show!(x.pow(2.0).requires_grad() => "true");
    show!({ let _guard = no_grad(); x.pow(2.0).requires_grad() } => "false");
    show!(x.requires_grad_(false)?.pow(2.0).requires_grad() => "false");
    note("detach gives the same values without a past; the memory is shared.");
    show!(let y = x.requires_grad_(true)?.detach());
    show!(y.requires_grad() => "false");
    show!(x.eq(&y) => "[true, true, true]");
    show!(x.shares_storage(&y) => "true");
    note("Nodes lead back to the leaf.");
    show!(let x = Tensor::ones([1], dev).requires_grad_(true)?);
    show!(x.grad_fn().is_none() => "true");
    show!(let y = (&x + 1.0) * 2.0 => "[4.0] <MulBackward0>");
    show!(let add = y.grad_fn().unwrap().next_functions()[0].clone().unwrap().0);
    show!(add.name() => "AddBackward0");
    show!(add.next_functions()[0].as_ref().unwrap().0.variable().unwrap().is_same(&x) => "true");
    note("Every run builds its own graph: another branch, another gradient.");
    show!(branch(1.0, dev)? => "2.0");
    show!(branch(-1.0, dev)? => "-2.0");
    note("Backward is vᵀ J: for a matrix W, that is Wᵀ v.");
    show!(let w = Tensor::new([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dev));
    show!(let v = Tensor::new([1.0, 10.0], dev));
    show!(let x = Tensor::zeros([3], dev).requires_grad_(true)?);
    show!(w.matmul(&x).backward_with(Some(&v), LAST)?);
    show!(x.grad() => "[41.0, 52.0, 63.0]");
    show!(w.t().matmul(&v) => "[41.0, 52.0, 63.0]");
    Ok(())
}

fn double_to(norm: f64, x: &Tensor) -> Result<Tensor> {
    let mut y = x * 2.0;
    while y.detach().norm().item()? < norm {
        y = y * 2.0;
    }
    Ok(y)
}

fn branch(x: f64, dev: &Device) -> Result<Option<Tensor>> {
    let x = Tensor::new(x, dev).requires_grad_(true)?;
    let y = if x.item()? > 0.0 { &x * 2.0 } else { x.pow(2.0) };
    y.backward()?;
    Ok(x.grad())
}

fn several_passes(dev: &Device) -> Result {
    title("3. Several passes");
    show!(let x = Tensor::new(1.0, dev).requires_grad_(true)? => "1.0");
    show!(let y = Tensor::new(2.0, dev) => "2.0");
    show!(let z = &x * &y => "2.0 <MulBackward0>");
    show!([&x, &y, &z].map(|t| (t.requires_grad(), t.is_leaf())) => "[(true, true), (false, true), (true, false)]");
    show!([&x, &y, &z].map(|t| t.grad().is_none()) => "[true, true, true]");
    show!(x.pow(3.0).backward()?);
    show!(x.grad() => "3.0");
    show!(x.pow(3.0).backward_with(Some(&Tensor::new(1.0, dev)), LAST)?);
    show!(x.grad() => "6.0");
    show!(let x = Tensor::new([1.0, 2.0], dev).requires_grad_(true)?);
    show!(x.pow(2.0).backward_with(Some(&Tensor::ones([2], dev)), LAST)?);
    show!(x.grad() => "[2.0, 4.0]");
    note("Weights must have the shape of the result ...");
    show!(x.pow(2.0).backward_with(Some(&Tensor::ones([1], dev)), LAST) => "error");
    note("... and may be any tensor, even x itself: 2 x · x.");
    show!(x.zero_grad());
    show!(x.pow(2.0).backward_with(Some(&x), LAST)?);
    show!(x.grad() => "[2.0, 8.0]");
    note("z = (x²)³ = x⁶, twice over a retained graph: 6 x⁵ and as much again.");
    show!(let x = Tensor::new([1.0, 2.0], dev).requires_grad_(true)?);
    show!(let y = x.pow(2.0));
    show!(let z = y.pow(3.0));
    show!(let w = Tensor::ones([2], dev));
    show!(z.backward_with(Some(&w), KEEP)?);
    show!(x.grad() => "[6.0, 192.0]");
    show!(z.backward_with(Some(&w), KEEP)?);
    show!(x.grad() => "[12.0, 384.0]");
    note("y has no gradient because it is no leaf. Asked to, it stores 3 y², and adds up as well.");
    show!(y.grad() => "None");
    show!(y.retain_grad()?);
    show!(z.backward_with(Some(&w), KEEP)?);
    show!(y.grad() => "[3.0, 48.0]");
    show!(z.backward_with(Some(&w), LAST)?);
    show!(y.grad() => "[6.0, 96.0]");
    note("Several passes add first derivatives; they do not take second ones.");
    show!(let x = Tensor::new([2.0, 2.0], dev).requires_grad_(true)?);
    show!(let z = Tensor::new([4.0, 4.0], dev).requires_grad_(true)?);
    show!(let y = x.pow(2.0) + z.pow(3.0));
    show!(y.backward_with(Some(&w), KEEP)?);
    show!([x.grad(), z.grad()] => "[4.0, 4.0], [48.0, 48.0]");
    show!(y.backward_with(Some(&w), KEEP)?);
    show!([x.grad(), z.grad()] => "[8.0, 8.0], [96.0, 96.0]");
    show!(y.backward_with(Some(&w), LAST)?);
    show!([x.grad(), z.grad()] => "[12.0, 12.0], [144.0, 144.0]");
    show!(y.backward_with(Some(&w), LAST) => "error");
    show!([x.grad(), z.grad()] => "[12.0, 12.0], [144.0, 144.0]");
    note("Gradients are set to zero through detach (PyTorch's .data) as well: it shares their memory.");
    show!(x.grad().unwrap().detach().zero_()?);
    show!(x.grad() => "[0.0, 0.0]");
    Ok(())
}

fn control_flow_and_hooks(dev: &Device) -> Result {
    title("4. Control flow, flags and hooks");
    note("The node of a result (once called its creator), and gradients of w x + b: x and 1, and none for x.");
    show!(let x = Tensor::ones([1], dev));
    show!(let w = Tensor::rand([1], dev).requires_grad_(true)?);
    show!(let b = Tensor::rand([1], dev).requires_grad_(true)?);
    show!(let y = &w * &x);
    show!(let z = &y + &b);
    show!([&y, &z].map(|t| t.grad_fn().unwrap().name()) => r#"["MulBackward0", "AddBackward0"]"#);
    show!(z.backward()?);
    show!([w.grad(), b.grad(), x.grad()] => "[1.0], [1.0], None");
    note("An absolute value made by branching gives back the leaf itself, and backward on a leaf is legal.");
    show!(let x = Tensor::ones([1], dev).requires_grad_(true)?);
    show!(my_abs(&x)?.is_same(&x) => "true");
    show!(my_abs(&x)?.backward()?);
    show!(x.grad() => "[1.0]");
    show!(let x = (-1.0 * Tensor::ones([1], dev)).requires_grad_(true)?);
    show!(my_abs(&x)?.backward()?);
    show!(x.grad() => "[-1.0]");
    note("A trap: the flag set one step too early makes x a result, which stores no gradient.");
    show!(let x = -1.0 * Tensor::ones([1], dev).requires_grad_(true)? => "[-1.0] <MulBackward0>");
    show!(my_abs(&x)?.backward()?);
    show!(x.grad() => "None");
    note("The product of the positive ones among -2 .. 3. Ranges of integers could be tracked in 2017; not today.");
    show!(let x = Tensor::arange(-2.0, 4.0, 1.0, dev).requires_grad_(true)?);
    show!(let y = product_of_positives(&x)? => "6.0 <MulBackward0>");
    show!(y.backward()?);
    show!(x.grad() => "[0.0, 0.0, 0.0, 6.0, 3.0, 2.0]");
    show!(Tensor::arange(-2, 4, 1, dev).dtype() == DType::I32 => "true");
    show!(wgrad::catch(|| Tensor::arange(-2, 4, 1, dev).requires_grad_(true)).flatten() => "error");
    note("A 0-d tensor has no elements to pick from: it is one, and read with item.");
    show!(wgrad::catch(|| Tensor::new(1.0, dev).select(0, 0)) => "error");
    show!(Tensor::new(1.0, dev).item()? => "1.0");
    note("One tracked operand is enough. What the old volatile flag prevented, no_grad prevents.");
    show!(let x = Tensor::ones([1], dev));
    show!((&x * &w).requires_grad() => "true");
    show!({ let _guard = no_grad(); (&x * &w).requires_grad() } => "false");
    show!(let x = Tensor::ones([3], dev).requires_grad_(true)?);
    show!(let w = Tensor::ones([3], dev).requires_grad_(true)?);
    show!(let y = &x * &w);
    show!(y.sum().backward()?);
    show!([x.grad(), w.grad(), y.grad()] => "[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], None");
    note("The functional form gives the gradient of any tensor of the graph, and stores none.");
    show!(let x = Tensor::ones([3], dev).requires_grad_(true)?);
    show!(let w = Tensor::rand([3], dev).requires_grad_(true)?);
    show!(let y = &x * &w);
    show!(grad_of(&y.sum(), &y, GradOptions::default())? => "[1.0, 1.0, 1.0]");
    show!(x.grad() => "None");
    note("Another way is a hook, until it is removed.");
    show!(let hook = y.register_hook(|g| { println!("      hook: {}", g.gives()); None })?);
    show!(y.sum().backward_with(None, KEEP)?);
    show!(hook.remove());
    show!(y.sum().backward()?);
    show!(x.grad().unwrap().eq(2.0 * w.detach()) => "[true, true, true]");
    note("What a hook returns takes the gradient's place.");
    show!(let x = Tensor::ones([3], dev).requires_grad_(true)?);
    show!(let y = &x * 2.0);
    show!(y.register_hook(|g| Some(g * 10.0))?);
    show!(y.sum().backward()?);
    show!(x.grad() => "[20.0, 20.0, 20.0]");
    note("x² + 2 x, from its sum and from itself with weights of one, which the release of 2017 refused: 2 x + 2.");
    show!(let x = Tensor::arange(0.0, 3.0, 1.0, dev).requires_grad_(true)?);
    show!((x.pow(2.0) + &x * 2.0).sum().backward()?);
    show!(x.grad() => "[2.0, 4.0, 6.0]");
    show!(x.zero_grad());
    show!((x.pow(2.0) + &x * 2.0).backward_with(Some(&Tensor::ones([3], dev)), LAST)?);
    show!(x.grad() => "[2.0, 4.0, 6.0]");
    Ok(())
}

fn my_abs(x: &Tensor) -> Result<Tensor> {
    Ok(if x.item()? > 0.0 { x.clone() } else { -x })
}

fn product_of_positives(x: &Tensor) -> Result<Tensor> {
    let mut product = Tensor::ones((), &x.device());
    for i in 0..x.numel() {
        let element = x.select(0, i as isize);
        if element.item()? > 0.0 {
            product = element * product;
        }
    }
    Ok(product)
}

fn a_layer_by_hand(dev: &Device) -> Result {
    title("5. A layer by hand");
    note("Two names for one tensor, and a tracked tensor over the same memory.");
    show!(let image = Tensor::ones([2, 2], dev) => "[[1.0, 1.0], [1.0, 1.0]]");
    show!(let q = Tensor::ones([2, 2], dev) => "[[1.0, 1.0], [1.0, 1.0]]");
    show!(q.clone().is_same(&q) => "true");
    show!(let p = q.detach().requires_grad_(true)? => "[[1.0, 1.0], [1.0, 1.0]]");
    show!((p.is_leaf(), p.grad().is_none(), p.shares_storage(&q), q.requires_grad()) => "(true, true, true, false)");
    show!(let o = &p * &image + 2.0 => "[[3.0, 3.0], [3.0, 3.0]] <AddBackward0>");
    show!(&o + 100.0 => "[[103.0, 103.0], [103.0, 103.0]] <AddBackward0>");
    note("The gradient of Σ (w x + 1 + 100) is x.");
    show!(let w = Tensor::new([[1.0, 2.0], [3.0, 4.0]], dev).requires_grad_(true)?);
    show!((&w * Tensor::new([[5.0, 6.0], [7.0, 8.0]], dev) + 1.0 + 100.0).sum().backward()?);
    show!(w.grad() => "[[5.0, 6.0], [7.0, 8.0]]");
    note("A loss, its gradient in the parameter (none in the input), and a step of descent: p - 0.1 grad.");
    show!(let loss = (&image * &p).sum() => "4.0 <SumBackward0>");
    show!(loss.backward()?);
    show!([p.grad(), image.grad()] => "[[1.0, 1.0], [1.0, 1.0]], None");
    show!({ let _guard = no_grad(); p.sub_(p.grad().unwrap() * 0.1)?.clone() } => "[[0.9, 0.9], [0.9, 0.9]]");
    show!(p.requires_grad() => "true");
    note("(a + 2)² and its sum, which is one number, 36 (the introduction shows four, and misspells sum).");
    show!(let a = Tensor::ones([2, 2], dev).requires_grad_(true)?);
    show!((a.grad().is_none(), a.grad_fn().is_none()) => "(true, true)");
    show!(let b = &a + 2.0 => "[[3.0, 3.0], [3.0, 3.0]] <AddBackward0>");
    show!(let c = b.pow(2.0) => "[[9.0, 9.0], [9.0, 9.0]] <PowBackward0>");
    show!(let out = c.sum() => "36.0 <SumBackward0>");
    show!(out.backward()?);
    show!(a.grad() => "[[6.0, 6.0], [6.0, 6.0]]");
    note("The others have none: not for want of the flag, as the introduction says, but because they are no leaves.");
    show!([&b, &c, &out].map(|t| (t.grad().is_none(), t.requires_grad())) => "[(true, true), (true, true), (true, true)]");
    note("The chain rule by hand: d sum/dc · dc/db · db/da.");
    show!(Tensor::ones([2, 2], dev) * (2.0 * b.detach()) * 1.0 => "[[6.0, 6.0], [6.0, 6.0]]");
    note("3 x² at ones, with weights.");
    show!(let x = Tensor::ones([3], dev).requires_grad_(true)?);
    show!(let z = x.pow(2.0) * 3.0 => "[3.0, 3.0, 3.0] <MulBackward0>");
    show!(z.backward_with(Some(&Tensor::new([0.1, 1.0, 10.0], dev)), LAST)?);
    show!(x.grad() => "[0.6, 6.0, 60.0]");
    Ok(())
}
