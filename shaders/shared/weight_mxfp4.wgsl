// MXFP4: 32 weights = 16 bytes of four-bit floats in the order of Q4_0, one exponent of eight bits;
// weight = 2^(exponent - 128) * value, values being twice the floats: 0, 1, 2, 3, 4, 6, 8, 12 and their
// negatives. Scales: one u32 holds the exponents of four blocks.
#import packed_bits
@group(0) @binding(2) var<storage, read> scales: array<u32>;

struct Block { quants: vec4<u32>, d: f32 }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let lane = row % 32u;
    let four = scales[((row / 32u) * ((n_blocks + 3u) / 4u) + block / 4u) * 32u + lane];
    let exponent = (four >> (8u * (block % 4u))) & 255u;
    // Exponents 0 and 1 stand for subnormal numbers, which a GPU may take for zero.
    return Block(
        quants_at(block_index(row, block, n_blocks) * 32u + lane),
        bitcast<f32>((max(exponent, 1u) - 1u) << 23u),
    );
}

// The size is the largest of three lines through the values.
fn raw(b: Block, i: u32) -> vec4<f32> {
    let bytes = nibble_bytes(b.quants[i % 4u], i / 4u);
    let q = fma(unit_floats(bytes, 3u), vec4<f32>(8.0), vec4<f32>(-8.0));
    let size = max(max(q, 2.0 * q - 4.0), 4.0 * q - 16.0);
    let sign = vec4<u32>(bytes << 28u, bytes << 20u, bytes << 12u, bytes << 4u) & vec4<u32>(0x80000000u);
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(size) | sign);
}

fn affine(b: Block) -> vec2<f32> {
    return vec2<f32>(b.d, 0.0);
}
