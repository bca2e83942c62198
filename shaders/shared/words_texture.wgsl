// Words of 16 bytes from a texture of 1024 a row: one load where a driver loads each element of each
// lane of a buffer on its own.
@group(0) @binding(1) var words: texture_storage_2d<rgba32uint, read>;

fn word_at(i: u32) -> vec4<u32> {
    return textureLoad(words, vec2<u32>(i % 1024u, i / 1024u));
}
