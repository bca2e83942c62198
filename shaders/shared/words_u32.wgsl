// Words of 16 bytes as four of 32 bits, from buffers.
@group(0) @binding(1) var<storage, read> words: array<vec4<u32>>;

fn word_at(i: u32) -> vec4<u32> {
    return words[i];
}
