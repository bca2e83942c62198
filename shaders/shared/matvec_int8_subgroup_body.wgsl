// matmul of one token that quantize wrote, with subgroups: a lane owns ROWS rows. The words of a block of x
// are loaded by eight lanes and broadcast. Needs subgroups of eight lanes or more.
// WGSL wants the lane of a broadcast as a constant, hence a copy of the step for each of the eight.
#import weight
#import layout
#import int8_block
#import matmul_io

@group(0) @binding(2) var<storage, read> x_words: array<u32>;

override WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    let all_lane = group.x * WORKGROUP + lane;
    let n_blocks = p.n_cols / 32u;
    var at: array<u32, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        at[r] = row_begin(min(row_of(all_lane, r, ROWS), p.n_rows - 1u), p.n_cols);
    }
    var sum: array<f32, ROWS>;
    var offset = 0u;
    for (var first = 0u; first < n_blocks; first += SUPER) {
        var scales: array<Scales, ROWS>;
        let n = min(SUPER, n_blocks - first);
        for (var r = 0u; r < ROWS; r++) { scales[r] = load_scales(at[r] + offset, n); }
        offset += scale_words(n) * NEXT;
        for (var k = 0u; k < n; k++) {
            let x_begin = (first + k) * 12u;
            let q = x_words[x_begin + subgroup_lane % 8u];
            let factors = x_words[x_begin + 8u + subgroup_lane % 4u];
            let x = IntX(
                vec4<u32>(
                    subgroupBroadcast(q, 0u),
                    subgroupBroadcast(q, 1u),
                    subgroupBroadcast(q, 2u),
                    subgroupBroadcast(q, 3u),
                ),
                vec4<u32>(
                    subgroupBroadcast(q, 4u),
                    subgroupBroadcast(q, 5u),
                    subgroupBroadcast(q, 6u),
                    subgroupBroadcast(q, 7u),
                ),
                bitcast<f32>(subgroupBroadcast(factors, 0u)),
                bitcast<vec2<i32>>(vec2<u32>(subgroupBroadcast(factors, 1u), subgroupBroadcast(factors, 2u))),
            );
            for (var r = 0u; r < ROWS; r++) {
                let w = int_block(scales[r], k, load_block(scales[r], at[r] + offset, k));
                sum[r] = int_dot(w, x, sum[r]);
            }
        }
        offset += quant_words(n) * NEXT;
    }
    for (var r = 0u; r < ROWS; r++) {
        store(0u, row_of(all_lane, r, ROWS), sum[r]);
    }
}
