// Computes: store(row, fold over col < N_COLS of load(row * N_COLS + col)) for every row < N_ROWS.
// Mapping: one thread per row, 64 threads in a group; four interleaved accumulators keep long sums accurate.
// Hooks: hook_identity() -> T, hook_load(i) -> T, hook_fold(a, b) -> T (associative, commutative), hook_store(row, x).
// Limits: N_COLS < 260,000, because llvmpipe leaves every loop after 65,535 iterations of one invocation;
//   N_ROWS * N_COLS fits a u32; loops inside hook_load count towards the iterations.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
alias T = f32;
const N_ROWS: u32 = 1u;
const N_COLS: u32 = 1u;

fn hook_identity() -> T {
  return 0.0;
}

fn hook_load(i: u32) -> T {
  return x[i];
}

fn hook_fold(a: T, b: T) -> T {
  return a + b;
}

fn hook_store(row: u32, acc: T) {
  y[row] = acc;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let row = (w.y * groups.x + w.x) * 64u + local;
  if (row >= N_ROWS) {
    return;
  }
  let begin = row * N_COLS;
  let end = begin + N_COLS;
  var a = hook_identity();
  var b = hook_identity();
  var c = hook_identity();
  var d = hook_identity();
  var i = begin;
  for (; i + 4u <= end; i += 4u) {
    a = hook_fold(a, hook_load(i));
    b = hook_fold(b, hook_load(i + 1u));
    c = hook_fold(c, hook_load(i + 2u));
    d = hook_fold(d, hook_load(i + 3u));
  }
  for (; i < end; i += 1u) {
    a = hook_fold(a, hook_load(i));
  }
  hook_store(row, hook_fold(hook_fold(a, b), hook_fold(c, d)));
}
