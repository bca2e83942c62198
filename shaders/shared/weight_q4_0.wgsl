// Q4_0: 32 weights = 16 bytes of nibbles, one f16 scale; weight = d * (nibble - 8). Byte i holds
// weight i in its low and weight i + 16 in its high nibble. Scales: one u32 holds those of two blocks.
@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<u32>;

struct Block { quants: vec4<u32>, d: f32 }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let lane = row % 8u;
    let pair = scales[((row / 8u) * ((n_blocks + 1u) / 2u) + block / 2u) * 8u + lane];
    return Block(quants[block_index(row, block, n_blocks) * 8u + lane], half_of(pair, block % 2u));
}

// Weights 4 i .. 4 i + 3 of the block.
fn weights(b: Block, i: u32) -> vec4<f32> {
    let shift = (i / 4u) * 4u;
    let nibbles = (vec4<u32>(b.quants[i % 4u]) >> (vec4<u32>(0u, 8u, 16u, 24u) + shift)) & vec4<u32>(15u);
    return (vec4<f32>(vec4<i32>(nibbles)) - 8.0) * b.d;
}
