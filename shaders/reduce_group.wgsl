// Computes: store(row, fold over col < N_COLS of load(row * N_COLS + col)) for every row < N_ROWS.
// Mapping: one group of 64 threads per row; thread t folds columns t, t + 64, ..., then a tree in workgroup memory.
// Hooks: hook_identity() -> T, hook_load(i) -> T, hook_fold(a, b) -> T (associative, commutative), hook_store(row, x).
// Limits: N_COLS < 4,000,000, because llvmpipe leaves every loop after 65,535 iterations of one invocation;
//   N_ROWS * N_COLS fits a u32; 64 values of T fit into 16 KiB.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
alias T = f32;
const N_ROWS: u32 = 1u;
const N_COLS: u32 = 1u;

var<workgroup> partial: array<T, 64>;

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
  let row = w.y * groups.x + w.x;
  // The whole group leaves together, so the barriers below stay in uniform control flow.
  if (row >= N_ROWS) {
    return;
  }
  let begin = row * N_COLS;
  var acc = hook_identity();
  for (var col = local; col < N_COLS; col += 64u) {
    acc = hook_fold(acc, hook_load(begin + col));
  }
  partial[local] = acc;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half >>= 1u) {
    if (local < half) {
      partial[local] = hook_fold(partial[local], partial[local + half]);
    }
    workgroupBarrier();
  }
  if (local == 0u) {
    hook_store(row, partial[0]);
  }
}
