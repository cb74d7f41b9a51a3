// Computes: store(batch, row, col, start + sum over K_BEGIN <= k < K_END of a[batch, row, k] * b[batch, k, col]).
// Mapping: 8 x 8 threads make a 32 x 32 tile, 4 x 4 outputs per thread; the groups run over tile rows, tile columns, batches.
// Hooks: hook_load_a(batch, row, col), hook_load_b(batch, row, col), hook_start(batch, row, col), all -> f32, and
//   hook_store(batch, row, col, x), all in logical coordinates; loads may be repeated for clamped rows and columns.
// Limits: BATCH, M, N >= 1; K_END - K_BEGIN <= 65,000, because llvmpipe leaves every loop after 65,535 iterations.

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
const BATCH: u32 = 1u;
const M: u32 = 1u;
const N: u32 = 1u;
const K_BEGIN: u32 = 0u;
const K_END: u32 = 1u;

fn hook_load_a(batch: u32, row: u32, col: u32) -> f32 {
  return a[(batch * M + row) * K_END + col];
}

fn hook_load_b(batch: u32, row: u32, col: u32) -> f32 {
  return b[(batch * K_END + row) * N + col];
}

fn hook_start(batch: u32, row: u32, col: u32) -> f32 {
  return 0.0;
}

fn hook_store(batch: u32, row: u32, col: u32, x: f32) {
  y[(batch * M + row) * N + col] = x;
}

fn start_row(batch: u32, row: u32, cols: vec4<u32>) -> vec4<f32> {
  return vec4<f32>(hook_start(batch, row, cols.x), hook_start(batch, row, cols.y), hook_start(batch, row, cols.z), hook_start(batch, row, cols.w));
}

fn store_row(batch: u32, row: u32, col: u32, x: vec4<f32>) {
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
  let tile_rows = (M + 31u) / 32u;
  let tile_cols = (N + 31u) / 32u;
  let batch = group / (tile_rows * tile_cols);
  let tile = group % (tile_rows * tile_cols);
  let row = (tile % tile_rows) * 32u + (local / 8u) * 4u;
  let col = (tile / tile_rows) * 32u + (local % 8u) * 4u;
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
  for (var k = K_BEGIN; k < K_END; k += 1u) {
    let v = vec4<f32>(hook_load_b(batch, k, cols.x), hook_load_b(batch, k, cols.y), hook_load_b(batch, k, cols.z), hook_load_b(batch, k, cols.w));
    c0 += hook_load_a(batch, rows.x, k) * v;
    c1 += hook_load_a(batch, rows.y, k) * v;
    c2 += hook_load_a(batch, rows.z, k) * v;
    c3 += hook_load_a(batch, rows.w, k) * v;
  }
  store_row(batch, row, col, c0);
  store_row(batch, row + 1u, col, c1);
  store_row(batch, row + 2u, col, c2);
  store_row(batch, row + 3u, col, c3);
}
