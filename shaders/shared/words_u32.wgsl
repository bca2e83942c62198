// Reads of 16 bytes as four 32-bit words.
#import quants_u32
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;

fn x_at(i: u32) -> vec4<f32> {
    return x[i];
}
