// Computes: store(i, fold of start(i) and of source(p) over the entries p of i's line whose index equals target(i)), for i < N.
// Mapping: one thread per destination i, which reads its whole line in order; no atomics, so the result is deterministic.
// Hooks: hook_start(i) -> T, hook_line(i) -> u32 (position of the line's entry 0, 0xffffffff for none), hook_target(i) -> i32,
//   hook_index(p) -> i32, hook_source(p) -> T, hook_fold(a, b) -> T, hook_store(i, x); entry j of a line lies at p = line + j * STRIDE.
// Limits: END - BEGIN <= 65,000, because llvmpipe leaves every loop after 65,535 iterations of one invocation.

@group(0) @binding(0) var<storage, read> index: array<i32>;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
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

fn hook_source(p: u32) -> T {
  return source[p];
}

fn hook_fold(a: T, b: T) -> T {
  return a + b;
}

fn hook_store(i: u32, x: T) {
  y[i] = x;
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
    for (var j = BEGIN; j < END; j += 1u) {
      let p = line + j * STRIDE;
      if (hook_index(p) == wanted) {
        acc = hook_fold(acc, hook_source(p));
      }
    }
  }
  hook_store(i, acc);
}
