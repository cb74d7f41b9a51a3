// Computes: as scatter.wgsl, given the order of each line's entries by index: those of one destination are neighbours there.
// Mapping: one thread per destination i, which finds its entries by bisection and folds them in order.
// Hooks: as scatter.wgsl, and hook_order(p) -> u32, the number of the entry that stands at place p of its line's order.
//   hook_check(k) sees the smallest and the largest index of a line.
// Limits: END - BEGIN <= 65,000, because llvmpipe leaves every loop after 65,535 iterations of one invocation.

@group(0) @binding(0) var<storage, read> index: array<i32>;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
alias T = f32;
const N: u32 = 1u;
const BEGIN: u32 = 0u;
const END: u32 = 1u;
const STRIDE: u32 = 1u;

fn hook_start(i: u32) -> T {
  return 0.0;
}

fn hook_line(i: u32) -> u32 {
  return 0u;
}

fn hook_target(i: u32) -> i32 {
  return i32(i);
}

fn hook_index(p: u32) -> i32 {
  return index[p];
}

fn hook_check(k: i32) {
}

fn hook_order(p: u32) -> u32 {
  return order[p];
}

fn hook_source(p: u32) -> T {
  return source[p];
}

fn hook_fold(a: T, b: T) -> T {
  return a + b;
}

fn hook_store(i: u32, x: T) {
  y[i] = x;
}

// The position of the entry that stands at place j of the line's order.
fn entry(line: u32, j: u32) -> u32 {
  return line + hook_order(line + j * STRIDE) * STRIDE;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = (w.y * groups.x + w.x) * 64u + local;
  if (i >= N) {
    return;
  }
  var acc = hook_start(i);
  let line = hook_line(i);
  if (line != 0xffffffffu) {
    let wanted = hook_target(i);
    // An index out of range stands first or last in the order; reading it notes it.
    hook_check(hook_index(entry(line, BEGIN)));
    hook_check(hook_index(entry(line, END - 1u)));
    var low = BEGIN;
    var high = END;
    for (; low < high;) {
      let mid = (low + high) / 2u;
      if (hook_index(entry(line, mid)) < wanted) {
        low = mid + 1u;
      } else {
        high = mid;
      }
    }
    for (var j = low; j < END; j += 1u) {
      let p = entry(line, j);
      if (hook_index(p) != wanted) {
        break;
      }
      acc = hook_fold(acc, hook_source(p));
    }
  }
  hook_store(i, acc);
}
