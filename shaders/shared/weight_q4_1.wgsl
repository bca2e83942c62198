// Q4_1: 32 weights = 16 bytes of nibbles, an f16 scale and an f16 minimum; weight = d * nibble + m.
// Byte i holds weight i in its low and weight i + 16 in its high nibble.
@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<u32>;

struct Block { quants: vec4<u32>, d_m: vec2<f32> }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let at = block_index(row, block, n_blocks) * 8u + row % 8u;
    return Block(quants[at], unpack2x16float(scales[at]));
}

// Weights 4 i .. 4 i + 3 of the block.
fn weights(b: Block, i: u32) -> vec4<f32> {
    let shift = (i / 4u) * 4u;
    let nibbles = (vec4<u32>(b.quants[i % 4u]) >> (vec4<u32>(0u, 8u, 16u, 24u) + shift)) & vec4<u32>(15u);
    return fma(vec4<f32>(vec4<i32>(nibbles)), vec4<f32>(b.d_m.x), vec4<f32>(b.d_m.y));
}
