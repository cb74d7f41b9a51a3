// Computes: y_0 = load(line, 0), then y_k = step(line, k, y_{k-1}), k < N, on every line < N_LINES.
// Mapping: one thread per block of LEN elements, N_BLOCKS blocks to a line, 64 threads in a group; blocks after a line's
//   first one start with what hook_enter says.
// Hooks: hook_load(line, k) -> T, hook_step(line, k, y) -> T, hook_enter(block, line, k) -> T, hook_store(i, y),
//   hook_links(line, k, links) -> L (the links joined by the one into element k), hook_leave(block, links, y).
// Limits: LEN <= 65,000, because llvmpipe leaves every loop after 65,535 iterations of one invocation;
//   N_LINES * N fits a u32.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
alias T = f32;
alias L = f32;
const ONE: f32 = 1.0;
const N_LINES: u32 = 1u;
const N_BLOCKS: u32 = 1u;
const N: u32 = 1u;
const LEN: u32 = 1u;

fn hook_load(line: u32, k: u32) -> T {
  return x[line * N + k];
}

fn hook_step(line: u32, k: u32, y: T) -> T {
  return y + hook_load(line, k);
}

fn hook_links(line: u32, k: u32, links: L) -> L {
  return links;
}

fn hook_enter(block: u32, line: u32, k: u32) -> T {
  return hook_load(line, k);
}

fn hook_store(i: u32, x: T) {
  y[i] = x;
}

fn hook_leave(block: u32, links: L, x: T) {
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let block = (w.y * groups.x + w.x) * 64u + local;
  if (block >= N_LINES * N_BLOCKS) {
    return;
  }
  let line = block / N_BLOCKS;
  let begin = block % N_BLOCKS * LEN;
  let end = min(begin + LEN, N);
  var acc: T;
  var links = ONE;
  if (begin == 0u) {
    acc = hook_load(line, 0u);
  } else {
    acc = hook_enter(block, line, begin);
    links = hook_links(line, begin, links);
  }
  hook_store(line * N + begin, acc);
  for (var k = begin + 1u; k < end; k += 1u) {
    acc = hook_step(line, k, acc);
    links = hook_links(line, k, links);
    hook_store(line * N + k, acc);
  }
  hook_leave(block, links, acc);
}
