//! What plans look like, told on a device that plans and plays nothing.

use super::{Key, Options, Plan, key, plan};
use crate::dtype::DType;
use crate::elements::Data;
use crate::error::Result;
use crate::tensor::Tensor;
use crate::tensor::backend::{Backend, Graph, Read, Sought, Stats};
use crate::tensor::device::Device;
use crate::tensor::mode::no_grad;
use crate::tensor::value::Buffer;
use parking_lot::Mutex;
use std::sync::Arc;

type Planned = Arc<Mutex<Vec<(Key, Plan)>>>;

/// Plans what is flushed.
struct Drawer(Options, Planned);

impl Backend for Drawer {
    fn name(&self) -> String {
        "drawer".into()
    }
    fn supports(&self, _: DType) -> bool {
        true
    }
    fn upload(&self, _: Data) -> Result<Buffer> {
        Ok(Arc::new(()))
    }
    fn run(&self, graph: &Graph) -> Result<()> {
        self.1.lock().push((key(graph), plan(graph, &self.0)));
        for node in graph.nodes.iter().filter(|node| node.held) {
            node.value.settle(Ok(Arc::new(())));
        }
        Ok(())
    }
    fn download(&self, _: &Buffer, _: DType, _: usize) -> Read {
        unreachable!("nothing is computed")
    }
    fn wait(&self, read: Read) -> Result<Data> {
        pollster::block_on(read)
    }
    fn sync(&self) -> Result<()> {
        Ok(())
    }
    fn watch(&self, _: Option<Sought>) {}
    fn stats(&self) -> Stats {
        Stats::default()
    }
    fn explain(&self) -> String {
        String::new()
    }
}

fn drawer(options: Options) -> (Device, Planned) {
    let planned = Planned::default();
    (Device::new(Drawer(options, planned.clone())), planned)
}

/// The key and the plan of what `f` records on a device that holds nothing else.
fn planned<T>(options: Options, f: impl FnOnce(&Device) -> T) -> (Key, Plan) {
    let (device, planned) = drawer(options);
    let _held = f(&device);
    device.flush().unwrap();
    planned.lock().pop().expect("something was recorded")
}

fn labels(plan: &Plan) -> Vec<&str> {
    plan.kernels.iter().map(|kernel| kernel.label.as_str()).collect()
}

fn tensor(shape: &[usize], device: &Device) -> Tensor {
    let n: usize = shape.iter().product();
    Tensor::from_slice(&vec![1.0f32; n], shape, device)
}

#[test]
fn a_chain_is_one_kernel() {
    let chain = |d: &Device| ((tensor(&[4, 3], d) * 2.0f32 + tensor(&[3], d)).relu() - 1.0f32).exp();
    let (_, fused) = planned(Options::default(), chain);
    assert_eq!(labels(&fused), ["mul>add>relu>sub>exp"]);
    assert_eq!(fused.kernels[0].outputs.len(), 1);
    let (_, plain) = planned(Options { fuse: false, ..Options::default() }, chain);
    assert_eq!(labels(&plain), ["mul", "add", "relu", "sub", "exp"]);
}

#[test]
fn a_plan_prints_in_words() {
    let (_, plan) =
        planned(Options::default(), |d| (tensor(&[4, 3], d).matmul(&tensor(&[3, 8], d)) + tensor(&[8], d)).relu());
    let text = "\
2 kernels, 4 buffers, 1024 bytes
   0: matmul                   s0 s1 -> s3, 1 group, gives %0
   1: add>relu                 s3 s2 -> s3, 1 group, gives %2
  s0: 256 bytes, used 0..=0, taken over from x0
  s1: 256 bytes, used 0..=0, taken over from x1
  s2: 256 bytes, used 1..=1, taken over from x2
  s3: 256 bytes, used 0..=1, kept as %2
";
    assert_eq!(plan.to_string(), text);
}

#[test]
fn numbers_are_no_part_of_the_structure() {
    let scaled = |by: f32, n: usize| planned(Options::default(), |d| tensor(&[n], d) * by);
    let ((two, plan), (three, _), (longer, _)) = (scaled(2.0, 5), scaled(3.0, 5), scaled(2.0, 6));
    assert_eq!(two, three);
    assert_ne!(two, longer);
    assert_eq!(plan.kernels[0].bindings.len(), 1);
}

#[test]
fn the_parameters_of_an_adam_step_share_kernels_and_are_updated_in_place() {
    for (max_storage_buffers, kernels) in [(8, 3), (32, 1)] {
        let (device, plans) = drawer(Options { max_storage_buffers, ..Options::default() });
        let shapes: [&[usize]; 5] = [&[7, 5], &[5], &[64, 7], &[3, 2, 2], &[35]];
        let parameters = shapes.map(|shape| [(); 3].map(|()| tensor(shape, &device)));
        for _ in 0..2 {
            let _guard = no_grad();
            for [p, m, v] in &parameters {
                let g = tensor(p.shape(), &device);
                m.copy_(&(m * 0.9f32 + &g * 0.1f32)).unwrap();
                v.copy_(&(v * 0.999f32 + &g * &g * 0.001f32)).unwrap();
                p.sub_(&(m / 0.1f32 / ((v / 0.001f32).sqrt() + 1e-8f32) * 1e-3f32)).unwrap();
            }
            device.flush().unwrap();
        }
        let plans = plans.lock();
        let [.., (before, _), (after, plan)] = &plans[..] else { panic!("two steps") };
        assert_eq!(before, after);
        assert_eq!(plan.kernels.len(), kernels);
        assert_eq!(plan.kernels.iter().map(|kernel| kernel.bindings.len()).sum::<usize>(), 5 * 4);
        assert!(plan.slots.iter().all(|slot| slot.input.is_some()));
    }
}

#[test]
fn an_update_waits_for_whoever_reads_the_old_value() {
    let (_, plan) = planned(Options::default(), |d| {
        let _guard = no_grad();
        let p = tensor(&[64], d);
        let twice = p.expand([2, 64]) * 2.0f32;
        // One thread would overwrite what two others read.
        p.add_(1.0f32).unwrap();
        (p, twice)
    });
    assert_eq!(labels(&plan), ["mul", "add"]);
    assert!(plan.slots.iter().any(|slot| slot.input.is_some() && slot.used == (0, 1)), "{plan}");
}

#[test]
fn a_kernel_binds_no_more_than_it_may() {
    for max_storage_buffers in [4, 8] {
        let (_, plan) = planned(Options { max_storage_buffers, ..Options::default() }, |d| {
            let x: Vec<Tensor> = (0..20).map(|_| tensor(&[64], d)).collect();
            let y = x.iter().skip(1).fold(x[0].clone(), |y, x| y + x);
            (x, y)
        });
        assert!(plan.kernels.iter().all(|kernel| kernel.bindings.len() <= max_storage_buffers));
        assert!(plan.kernels.len() <= 20usize.div_ceil(max_storage_buffers - 2));
    }
}

#[test]
fn no_buffer_is_bound_twice_or_read_before_it_is_written() {
    let (_, plan) = planned(Options::default(), |d| {
        let x = tensor(&[300, 70], d);
        let y = x.softmax(1);
        let z = (&y * &x).sum_dim(0, false);
        y.select(0, 3).add_(1.0f32).unwrap();
        (x.t().matmul(&y), z, y)
    });
    let mut written = vec![false; plan.slots.len()];
    for kernel in &plan.kernels {
        for (at, binding) in kernel.bindings.iter().enumerate() {
            assert!(kernel.bindings[..at].iter().all(|other| other.place != binding.place), "{kernel}");
            if let super::Place::Slot(slot) = binding.place {
                assert!(!binding.read || written[slot] || plan.slots[slot].input.is_some(), "{kernel}");
                written[slot] |= binding.write;
            }
        }
    }
    for (_, slot) in &plan.held {
        assert!(written[*slot]);
    }
}

#[test]
fn long_sums_take_two_stages_and_long_products_several() {
    let (_, sum) = planned(Options::default(), |d| tensor(&[1 << 20], d).sum());
    assert_eq!(labels(&sum), ["sum", "sum"]);
    assert_eq!((sum.kernels[0].outputs.len(), sum.kernels[1].outputs.len()), (0, 1));
    let product = |n| planned(Options::default(), |d| tensor(&[1, n], d).matmul(&tensor(&[n, 1], d))).1;
    assert_eq!(labels(&product(70_000)), ["matmul", "sum"]);
    // A prime number of terms cannot be cut evenly.
    assert_eq!(labels(&product(70_001)), ["matmul"; 3]);
}
