// Computes: random bits and numbers by element and stream: Philox4x32-10.
// Mapping: none, as in prelude.wgsl.
// Hooks: none.
// Limits: as in prelude.wgsl.

// The upper half of the 64-bit product, from 16-bit halves: WGSL has no wide multiplication.
fn mulhi_(a: u32, b: u32) -> u32 {
  let al = a & 0xffffu;
  let ah = a >> 16u;
  let bl = b & 0xffffu;
  let bh = b >> 16u;
  let m = al * bh + ((al * bl) >> 16u);
  let n = ah * bl + (m & 0xffffu);
  return ah * bh + (m >> 16u) + (n >> 16u);
}

fn philox_round_(c: vec4<u32>, k: vec2<u32>) -> vec4<u32> {
  let high_x = mulhi_(0xd2511f53u, c.x);
  let high_z = mulhi_(0xcd9e8d57u, c.z);
  return vec4<u32>(high_z ^ c.y ^ k.x, 0xcd9e8d57u * c.z, high_x ^ c.w ^ k.y, 0xd2511f53u * c.x);
}

// Philox4x32-10, the generator of PyTorch's CUDA backend. There is no loop, because llvmpipe bounds the number of
// iterations of an invocation and this function is called inside the loops of reductions.
fn philox_(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
  let step = vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  var c = philox_round_(counter, key);
  c = philox_round_(c, key + step);
  c = philox_round_(c, key + 2u * step);
  c = philox_round_(c, key + 3u * step);
  c = philox_round_(c, key + 4u * step);
  c = philox_round_(c, key + 5u * step);
  c = philox_round_(c, key + 6u * step);
  c = philox_round_(c, key + 7u * step);
  c = philox_round_(c, key + 8u * step);
  return philox_round_(c, key + 9u * step);
}

fn random_block_(i: u32, key: vec2<u32>, stream: vec2<u32>) -> vec4<u32> {
  return philox_(vec4<u32>(i >> 2u, 0u, stream.x, stream.y), key);
}

fn random_bits_(i: u32, key: vec2<u32>, stream: vec2<u32>) -> u32 {
  let w = random_block_(i, key, stream);
  let pair = select(w.xy, w.zw, (i & 2u) != 0u);
  return select(pair.x, pair.y, (i & 1u) != 0u);
}

fn random_uniform_(i: u32, key: vec2<u32>, stream: vec2<u32>) -> f32 {
  return f32(random_bits_(i, key, stream) >> 8u) * 5.9604644775390625e-8;
}

// cos and sin of turn / 2^24 of a full turn: the quadrant is split off exactly, in integers.
fn cos_sin_turn_(turn: u32) -> vec2<f32> {
  let quadrant = (turn + 0x200000u) >> 22u;
  let x = f32(i32(turn) - i32(quadrant << 22u)) * 3.7450702829e-7;
  let z = x * x;
  let c = 1.0 - 0.5 * z + z * z * (0.041666645683 + z * (-0.0013887316255 + z * 0.000024433157118));
  let s = x + x * z * (-0.16666654611 + z * (0.0083321608736 + z * -0.00019515295891));
  let swapped = select(vec2<f32>(c, s), vec2<f32>(-s, c), (quadrant & 1u) != 0u);
  return select(swapped, -swapped, (quadrant & 2u) != 0u);
}

// Box-Muller: two words of a block make two neighbouring elements. 1 - u is never zero, so the logarithm is finite.
fn random_normal_(i: u32, key: vec2<u32>, stream: vec2<u32>) -> f32 {
  let w = random_block_(i, key, stream);
  let pair = select(w.xy, w.zw, (i & 2u) != 0u) >> vec2<u32>(8u, 8u);
  let radius = sqrt(-2.0 * ln_(f32(0x1000000u - pair.x) * 5.9604644775390625e-8));
  let direction = cos_sin_turn_(pair.y);
  return radius * select(direction.x, direction.y, (i & 1u) != 0u);
}
