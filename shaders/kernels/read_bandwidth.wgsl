// read_bandwidth: what `bench` measures decode against. Every lane reads WORDS_PER_LANE vec4 and keeps their
// bits; either neighbouring lanes read neighbouring words (STRIDE 1, how a GPU likes it) or each lane
// reads a stretch of its own (STRIDE 0, how a processor likes it).
@group(0) @binding(1) var<storage, read> words: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

override WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var step = WORKGROUP;
    var at = group.x * WORKGROUP * WORDS_PER_LANE + lane;
    if STRIDE == 0u {
        step = 1u;
        at = (group.x * WORKGROUP + lane) * WORDS_PER_LANE;
    }
    var a = vec4<u32>();
    var b = vec4<u32>();
    var c = vec4<u32>();
    var d = vec4<u32>();
    for (var i = 0u; i < WORDS_PER_LANE; i += 4u) {
        a ^= words[at];
        b ^= words[at + step];
        c ^= words[at + 2u * step];
        d ^= words[at + 3u * step];
        at += 4u * step;
    }
    let bits = a ^ b ^ c ^ d;
    out[group.x * WORKGROUP + lane] = bits.x ^ bits.y ^ bits.z ^ bits.w;
}
