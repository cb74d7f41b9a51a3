//! The counter-based random generator: Philox4x32-10, the same numbers on every device.
//!
//! Element `i` of a random tensor is word `i % 4` of the block with counter `(i / 4, 0, stream)` and the device's seed
//! as key, so a kernel computes its own bits and a repeated run repeats them. Source: Salmon et al., "Parallel random
//! numbers: as easy as 1, 2, 3" (SC 2011). `shaders/prelude_random.wgsl` holds the same functions for the GPU.

/// Where a random tensor's numbers come from: the device's seed and the tensor's own stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stream {
    /// The device's seed.
    pub seed: u64,
    /// The number of the tensor since the device was seeded.
    pub stream: u64,
}

impl Stream {
    /// Four random words: block `block` of this stream.
    pub fn words(self, block: u32) -> [u32; 4] {
        philox([block, 0, self.stream as u32, (self.stream >> 32) as u32], [self.seed as u32, (self.seed >> 32) as u32])
    }

    /// The random bits of element `i`.
    pub fn bits(self, i: usize) -> u32 {
        self.words((i / 4) as u32)[i % 4]
    }

    /// A uniform number in `[0, 1)` with 24 random bits.
    pub fn uniform(self, i: usize) -> f64 {
        unit(self.bits(i))
    }

    /// Four uniform numbers in `[0, 1)` with 24 random bits each: block `block` of this stream.
    pub fn uniforms(self, block: u32) -> [f64; 4] {
        self.words(block).map(unit)
    }

    /// Four standard normal numbers (Box-Muller over pairs of the block's words).
    pub fn normals(self, block: u32) -> [f64; 4] {
        let pair = |a, b| {
            let radius = (-2.0 * (1.0 - unit(a)).ln()).sqrt();
            let (sin, cos) = (std::f64::consts::TAU * unit(b)).sin_cos();
            [radius * cos, radius * sin]
        };
        let [a, b, c, d] = self.words(block);
        let ([a, b], [c, d]) = (pair(a, b), pair(c, d));
        [a, b, c, d]
    }
}

fn unit(bits: u32) -> f64 {
    (bits >> 8) as f64 * 2f64.powi(-24)
}

/// Philox4x32 with ten rounds.
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = 0xd251_1f53_u64 * counter[0] as u64;
        let b = 0xcd9e_8d57_u64 * counter[2] as u64;
        counter = [(b >> 32) as u32 ^ counter[1] ^ key[0], b as u32, (a >> 32) as u32 ^ counter[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    #[test]
    fn philox_gives_the_published_answers() {
        // The known-answer vectors of Random123 1.14.
        assert_eq!(super::philox([0; 4], [0; 2]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
        assert_eq!(super::philox([!0; 4], [!0; 2]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
    }
}
