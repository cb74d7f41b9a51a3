// Computes: y[i] for every i < params[0].x, whatever hook_element writes.
// Mapping: one thread per element, 64 threads in a group, the groups folded into x and y of the grid.
// Hooks: hook_element(i) computes and stores element i.
// Limits: i is a u32; the generator supplies params, whose first word is the number of elements.

@group(0) @binding(0) var<uniform> params: array<vec4<u32>, 1>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

fn hook_element(i: u32) {
  y[i] = 0.0;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = (w.y * groups.x + w.x) * 64u + local;
  if (i < params[0].x) {
    hook_element(i);
  }
}
