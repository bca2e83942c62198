// BF16: 32 weights = four words of eight upper halves of floats. There are no scales; the binding holds
// one unused word.
@group(0) @binding(2) var<storage, read> scales: array<u32>;

struct Block { quants: array<vec4<u32>, 4> }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let at = block_index(row, block, n_blocks) * 128u + row % 32u;
    return Block(array<vec4<u32>, 4>(quants_at(at), quants_at(at + 32u), quants_at(at + 64u), quants_at(at + 96u)));
}

fn raw(b: Block, i: u32) -> vec4<f32> {
    let word = b.quants[i / 2u];
    let at = (i % 2u) * 2u;
    let pairs = vec2<u32>(word[at], word[at + 1u]);
    let low = pairs << vec2<u32>(16u);
    let high = pairs & vec2<u32>(0xffff0000u);
    return bitcast<vec4<f32>>(vec4<u32>(low.x, high.x, low.y, high.y));
}

fn affine(b: Block) -> vec2<f32> {
    return vec2<f32>(1.0, 0.0);
}
