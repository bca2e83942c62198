// Q8_0: 32 weights = 32 signed bytes, one f16 scale; weight = d * byte. Scales: one u32 holds those of
// two blocks.
@group(0) @binding(2) var<storage, read> scales: array<u32>;

struct Block { quants: array<vec4<u32>, 2>, d: f32 }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let lane = row % 32u;
    let at = block_index(row, block, n_blocks) * 64u + lane;
    let pair = scales[((row / 32u) * ((n_blocks + 1u) / 2u) + block / 2u) * 32u + lane];
    return Block(array<vec4<u32>, 2>(quants_at(at), quants_at(at + 32u)), half_of(pair, block % 2u));
}

fn raw(b: Block, i: u32) -> vec4<f32> {
    return vec4<f32>(unpack4xI8(b.quants[i / 4u][i % 4u]));
}

fn affine(b: Block) -> vec2<f32> {
    return vec2<f32>(b.d, 0.0);
}
