// Q5_0: 32 weights = 16 bytes of nibbles as in Q4_0, 4 bytes of fifth bits, one f16 scale;
// weight = d * (q - 16). Scales of two blocks: a u32 of both halves, then the fifth bits of each.
#import packed_bits
@group(0) @binding(2) var<storage, read> scales: array<u32>;

struct Block { quants: vec4<u32>, high: u32, d: f32 }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let lane = row % 32u;
    let at = ((row / 32u) * ((n_blocks + 1u) / 2u) + block / 2u) * 96u + lane;
    return Block(
        quants_at(block_index(row, block, n_blocks) * 32u + lane),
        scales[at + 32u + (block % 2u) * 32u],
        half_of(scales[at], block % 2u),
    );
}

// 1 + q / 32.
fn raw(b: Block, i: u32) -> vec4<f32> {
    return unit_floats(nibble_bytes(b.quants[i % 4u], i / 4u) | (bit_bytes(b.high, i) << 4u), 5u);
}

fn affine(b: Block) -> vec2<f32> {
    return vec2<f32>(32.0, -48.0) * b.d;
}
