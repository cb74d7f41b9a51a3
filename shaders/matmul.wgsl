// Computes: store(batch, row, col, start + sum over K_BEGIN <= k < K_END of a[batch, row, k] * b[batch, k, col]).
// Mapping: 64 threads, ROW_THREADS of them below each other, make a tile with 4 x 4 outputs per thread; the groups run over tile
//   rows, tile columns, batches.
// Hooks: hook_row(batch, row) + hook_inner_a(k) is where hook_load_a(at) -> T finds a[batch, row, k]; hook_col(batch, col) +
//   hook_inner_b(k) is where hook_load_b(at) -> T finds b[batch, k, col]; hook_start(batch, row, col) -> T and
//   hook_store(batch, row, col, x). Loads may be repeated for clamped rows and columns.
// Limits: BATCH, M, N >= 1; ROW_THREADS divides 64; K_END - K_BEGIN <= 65,000, because llvmpipe leaves every loop after 65,535
//   iterations.

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
alias T = f32;
const BATCH: u32 = 1u;
const M: u32 = 1u;
const N: u32 = 1u;
const K_BEGIN: u32 = 0u;
const K_END: u32 = 1u;
const ROW_THREADS: u32 = 8u;

fn hook_row(batch: u32, row: u32) -> u32 {
  return (batch * M + row) * K_END;
}

fn hook_col(batch: u32, col: u32) -> u32 {
  return batch * K_END * N + col;
}

fn hook_inner_a(k: u32) -> u32 {
  return k;
}

fn hook_inner_b(k: u32) -> u32 {
  return k * N;
}

fn hook_load_a(at: u32) -> T {
  return a[at];
}

fn hook_load_b(at: u32) -> T {
  return b[at];
}

fn hook_start(batch: u32, row: u32, col: u32) -> T {
  return T(0);
}

fn hook_store(batch: u32, row: u32, col: u32, x: T) {
  y[(batch * M + row) * N + col] = x;
}

fn start_row(batch: u32, row: u32, cols: vec4<u32>) -> vec4<T> {
  return vec4<T>(hook_start(batch, row, cols.x), hook_start(batch, row, cols.y), hook_start(batch, row, cols.z), hook_start(batch, row, cols.w));
}

fn store_row(batch: u32, row: u32, col: u32, x: vec4<T>) {
  if (row < M) {
    if (col < N) {
      hook_store(batch, row, col, x.x);
    }
    if (col + 1u < N) {
      hook_store(batch, row, col + 1u, x.y);
    }
    if (col + 2u < N) {
      hook_store(batch, row, col + 2u, x.z);
    }
    if (col + 3u < N) {
      hook_store(batch, row, col + 3u, x.w);
    }
  }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let group = w.y * groups.x + w.x;
  let col_threads = 64u / ROW_THREADS;
  let tile_rows = (M + 4u * ROW_THREADS - 1u) / (4u * ROW_THREADS);
  let tile_cols = (N + 4u * col_threads - 1u) / (4u * col_threads);
  let batch = group / (tile_rows * tile_cols);
  let tile = group % (tile_rows * tile_cols);
  let row = ((tile % tile_rows) * ROW_THREADS + local / col_threads) * 4u;
  let col = ((tile / tile_rows) * col_threads + local % col_threads) * 4u;
  if (batch >= BATCH || row >= M || col >= N) {
    return;
  }
  // Clamping instead of branching keeps the loop straight; what the clamped lanes compute is never stored.
  let rows = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(M - 1u));
  let cols = min(vec4<u32>(col, col + 1u, col + 2u, col + 3u), vec4<u32>(N - 1u));
  var c0 = start_row(batch, rows.x, cols);
  var c1 = start_row(batch, rows.y, cols);
  var c2 = start_row(batch, rows.z, cols);
  var c3 = start_row(batch, rows.w, cols);
  let a0 = hook_row(batch, rows.x);
  let a1 = hook_row(batch, rows.y);
  let a2 = hook_row(batch, rows.z);
  let a3 = hook_row(batch, rows.w);
  let b0 = hook_col(batch, cols.x);
  let b1 = hook_col(batch, cols.y);
  let b2 = hook_col(batch, cols.z);
  let b3 = hook_col(batch, cols.w);
  for (var k = K_BEGIN; k < K_END; k += 1u) {
    let ka = hook_inner_a(k);
    let kb = hook_inner_b(k);
    let v = vec4<T>(hook_load_b(b0 + kb), hook_load_b(b1 + kb), hook_load_b(b2 + kb), hook_load_b(b3 + kb));
    c0 += hook_load_a(a0 + ka) * v;
    c1 += hook_load_a(a1 + ka) * v;
    c2 += hook_load_a(a2 + ka) * v;
    c3 += hook_load_a(a3 + ka) * v;
  }
  store_row(batch, row, col, c0);
  store_row(batch, row + 1u, col, c1);
  store_row(batch, row + 2u, col, c2);
  store_row(batch, row + 3u, col, c3);
}
