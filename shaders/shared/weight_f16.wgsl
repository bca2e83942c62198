// F16: 32 weights = four words of eight halves. There are no scales; the binding holds one unused word.
@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<u32>;

struct Block { quants: array<vec4<u32>, 4> }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let at = block_index(row, block, n_blocks) * 32u + row % 8u;
    return Block(array<vec4<u32>, 4>(quants[at], quants[at + 8u], quants[at + 16u], quants[at + 24u]));
}

// Weights 4 i .. 4 i + 3 of the block.
fn weights(b: Block, i: u32) -> vec4<f32> {
    let word = b.quants[i / 2u];
    let at = (i % 2u) * 2u;
    return vec4<f32>(unpack2x16float(word[at]), unpack2x16float(word[at + 1u]));
}
