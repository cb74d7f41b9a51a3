//! A program as Rust source that can be pasted into a `main.rs`.

use super::build::Program;
use std::fmt::Write;
use wgrad::DType;

pub fn source(program: &Program) -> String {
    let mut text = String::from(
        "use wgrad::{DType, Device, Result, Tensor};\n\n\
         /// The leaves and the results.\n\
         pub fn program(dev: &Device) -> Result<(Vec<Tensor>, Vec<Tensor>)> {\n",
    );
    let leaves = program.leaves.len();
    let name = |i: usize| if i < leaves { format!("x{i}") } else { format!("y{}", i - leaves) };
    for (i, leaf) in program.leaves.iter().enumerate() {
        let elements: Vec<String> = leaf.elements.iter().map(|x| format!("{x:?}")).collect();
        let list = if elements.is_empty() { "[0.0; 0]".to_string() } else { format!("[{}]", elements.join(", ")) };
        let shape = if leaf.shape.is_empty() { "()".to_string() } else { format!("{:?}", leaf.shape) };
        let options =
            if leaf.dtype == DType::F32 { "dev".to_string() } else { format!("(dev, DType::{:?})", leaf.dtype) };
        let tracked = if leaf.dtype.is_float() { ".requires_grad_(true)?" } else { "" };
        let _ = writeln!(text, "    let x{i} = &Tensor::from_slice(&{list}, {shape}, {options}){tracked};");
    }
    for (i, (step, args)) in program.steps.iter().enumerate() {
        let args: Vec<String> = args.iter().map(|&i| name(i)).collect();
        let _ = writeln!(text, "    let {} = &({});", name(leaves + i), step.source(&args));
    }
    let clones =
        |i: &mut dyn Iterator<Item = usize>| i.map(|i| format!("{}.clone()", name(i))).collect::<Vec<_>>().join(", ");
    let _ = write!(
        text,
        "    Ok((vec![{}], vec![{}]))\n}}\n\n",
        clones(&mut (0..leaves)),
        clones(&mut program.results.iter().copied())
    );
    if text.contains("PadMode::") {
        text = text.replacen("Device, Result", "Device, PadMode, Result", 1);
    }
    text + "fn main() -> Result<()> {\n    \
                for dev in [Device::cpu(), Device::gpu()?] {\n        \
                    let (leaves, results) = program(&dev)?;\n        \
                    let parts = results.iter().filter(|y| y.requires_grad());\n        \
                    let loss = parts.map(|y| (y * (y * 0.5 + 1.0)).sum().cast(DType::F32)).reduce(|a, b| a + b);\n        \
                    loss.map_or(Ok(()), |loss| loss.backward())?;\n        \
                    println!(\"{}\", dev.name());\n        \
                    for y in results.iter().chain(&leaves.iter().filter_map(Tensor::grad).collect::<Vec<_>>()) {\n            \
                        println!(\"{:?}\", y.to_data()?.to_f64());\n        \
                    }\n    \
                }\n    \
                Ok(())\n\
            }\n"
}
