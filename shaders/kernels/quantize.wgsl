// quantize: a workgroup a token, a lane a block at a time. INPUT tells what is quantised, as in
// matvec_subgroup_body.wgsl: x as it is, x normalised as rms_norm does, or silu(x) or gelu(x) times the second
// half of x. int8_block.wgsl describes what is written.
struct QuantizeParams {
    n_tokens: u32,
    n_cols: u32,
    first_token: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> p: QuantizeParams;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> norm: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<u32>>;

#import gelu
#import input_kinds

override WORKGROUP: u32 = 32;
var<workgroup> parts: array<f32, WORKGROUP>;

// 1 / rms of the token, whose first word of x is `begin`.
fn norm_scale(begin: u32, lane: u32) -> f32 {
    var part = vec4<f32>();
    for (var i = lane; i < p.n_cols / 4u; i += WORKGROUP) {
        part = fma(x[begin + i], x[begin + i], part);
    }
    parts[lane] = part.x + part.y + part.z + part.w;
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < WORKGROUP; i++) {
        sum += parts[i];
    }
    return 1.0 / sqrt(sum / f32(p.n_cols) + p.eps);
}

// Four elements of what is quantised.
fn input(begin: u32, i: u32, scale: f32) -> vec4<f32> {
    let v = x[begin + i];
    if INPUT == NORMED {
        return v * scale * norm[i];
    }
    if INPUT == GATED {
        return v / (1.0 + exp(-v)) * x[begin + p.n_cols / 4u + i];
    }
    if INPUT == GELU_GATED {
        return gelu(v) * x[begin + p.n_cols / 4u + i];
    }
    return v;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let is_gated = INPUT == GATED || INPUT == GELU_GATED;
    let row = select(p.n_cols, 2u * p.n_cols, is_gated) / 4u;
    let begin = (p.first_token + group.x) * row;
    var scale = 1.0;
    if INPUT == NORMED {
        scale = norm_scale(begin, lane);
    }
    let n_blocks = p.n_cols / 32u;
    for (var block = lane; block < n_blocks; block += WORKGROUP) {
        var values: array<vec4<f32>, 8>;
        var most = vec4<f32>();
        for (var i = 0u; i < 8u; i++) {
            values[i] = input(begin, block * 8u + i, scale);
            most = max(most, abs(values[i]));
        }
        let largest = max(max(most.x, most.y), max(most.z, most.w));
        let inverse = select(0.0, 127.0 / largest, largest > 0.0);
        var bytes: array<u32, 8>;
        var sums = vec2<i32>();
        for (var i = 0u; i < 8u; i++) {
            let q = vec4<i32>(round(values[i] * inverse));
            sums[i / 4u] += q.x + q.y + q.z + q.w;
            let byte = vec4<u32>(q + vec4<i32>(128));
            bytes[i] = byte.x | (byte.y << 8u) | (byte.z << 16u) | (byte.w << 24u);
        }
        let at = (group.x * n_blocks + block) * 3u;
        out[at] = vec4<u32>(bytes[0], bytes[1], bytes[2], bytes[3]);
        out[at + 1u] = vec4<u32>(bytes[4], bytes[5], bytes[6], bytes[7]);
        out[at + 2u] = vec4<u32>(bitcast<u32>(largest / 127.0), bitcast<vec2<u32>>(sums), 0u);
    }
}
