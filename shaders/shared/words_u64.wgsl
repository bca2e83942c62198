// Words of 16 bytes as two of 64 bits, from buffers: half the loads where a driver loads each element
// of each lane on its own.
#import split_u64

@group(0) @binding(1) var<storage, read> words: array<vec2<u64>>;

fn word_at(i: u32) -> vec4<u32> {
    return split(words[i]);
}
