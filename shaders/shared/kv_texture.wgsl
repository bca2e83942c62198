// Reads of the cache from textures of 1024 words a row, four elements at a time; see words_texture.wgsl.
@group(0) @binding(2) var k_cache: texture_storage_2d<rgba32uint, read>;
@group(0) @binding(3) var v_cache: texture_storage_2d<rgba32uint, read>;

#import kv_get_texture
