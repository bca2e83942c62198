// F32: 32 weights = eight words of four. There are no scales; the binding holds one unused word.
@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<u32>;

struct Block { quants: array<vec4<u32>, 8> }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let at = block_index(row, block, n_blocks) * 64u + row % 8u;
    return Block(array<vec4<u32>, 8>(
        quants[at], quants[at + 8u], quants[at + 16u], quants[at + 24u],
        quants[at + 32u], quants[at + 40u], quants[at + 48u], quants[at + 56u],
    ));
}

// Weights 4 i .. 4 i + 3 of the block.
fn weights(b: Block, i: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(b.quants[i]);
}
