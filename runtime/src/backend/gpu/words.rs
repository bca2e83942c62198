//! Words of 16 bytes that kernels read: in a storage buffer, or in a storage texture of 1024 words a row.
//! A driver that loads each element of each lane of a buffer on its own reads textures several times
//! faster, and no limit on the size of a binding applies to them.

use super::{context::Context, storage};
use crate::error::Result;

/// Words of a row of a texture; `words_texture.wgsl` has the same number.
const ROW: u32 = 1024;
const WORD_BYTES: u32 = 16;
const ROW_BYTES: usize = (ROW * WORD_BYTES) as usize;

/// A list of words on the device.
pub(super) enum Words {
    Buffer(wgpu::Buffer),
    Texture { texture: wgpu::Texture, view: wgpu::TextureView },
}

impl Words {
    /// The most bytes of one list.
    pub(super) fn max_bytes(ctx: &Context) -> u64 {
        let limits = ctx.device.limits();
        match ctx.textures {
            true => u64::from(limits.max_texture_dimension_2d) * ROW_BYTES as u64,
            false => limits.max_storage_buffer_binding_size,
        }
    }

    /// Room for `bytes`, in a texture where the context wants that.
    pub(super) fn new(ctx: &Context, bytes: usize) -> Result<Words> {
        if !ctx.textures {
            return Ok(Words::Buffer(storage(ctx, bytes)?));
        }
        let texture = ctx.device.create_texture(&wgpu::TextureDescriptor {
            label: None,
            size: extent(ROW, bytes.div_ceil(ROW_BYTES).max(1) as u32),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba32Uint,
            usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        ctx.check()?;
        let view = texture.create_view(&Default::default());
        Ok(Words::Texture { texture, view })
    }

    /// Hands `data` to the queue, for the bytes from `at` on; both are whole words.
    pub(super) fn write(&self, ctx: &Context, at: usize, data: &[u8]) {
        let texture = match self {
            Words::Buffer(buffer) => return ctx.queue.write_buffer(buffer, at as u64, data),
            Words::Texture { texture, .. } => texture,
        };
        let mut rest = data;
        for region in Region::cover(at as u32 / WORD_BYTES, data.len() as u32 / WORD_BYTES) {
            let (piece, others) =
                rest.split_at((region.size.width * region.size.height * WORD_BYTES) as usize);
            let layout = region.layout(0);
            ctx.queue.write_texture(region.of(texture), piece, layout, region.size);
            rest = others;
        }
    }
}

/// Records the copy of `bytes` of a buffer, from `offset` on, to the start of a texture.
pub(super) fn copy_to_texture(
    encoder: &mut wgpu::CommandEncoder,
    buffer: &wgpu::Buffer,
    offset: u64,
    bytes: u64,
    texture: &wgpu::Texture,
) {
    let mut offset = offset;
    for region in Region::cover(0, (bytes / u64::from(WORD_BYTES)) as u32) {
        let source = wgpu::TexelCopyBufferInfo { buffer, layout: region.layout(offset) };
        encoder.copy_buffer_to_texture(source, region.of(texture), region.size);
        offset += u64::from(region.size.width * region.size.height * WORD_BYTES);
    }
}

/// A rectangle of a texture.
struct Region {
    origin: wgpu::Origin3d,
    size: wgpu::Extent3d,
}

impl Region {
    /// The rectangles that `n_words` words from word `at` on fill: a part of a row, whole rows, a part of a row.
    fn cover(at: u32, n_words: u32) -> impl Iterator<Item = Region> {
        let head = ((ROW - at % ROW) % ROW).min(n_words);
        let rows = (n_words - head) / ROW;
        let tail = n_words - head - rows * ROW;
        let after_head = (at + head) / ROW;
        [(at % ROW, at / ROW, head, 1), (0, after_head, ROW, rows), (0, after_head + rows, tail, 1)]
            .into_iter()
            .filter(|(.., width, height)| *width > 0 && *height > 0)
            .map(|(x, y, width, height)| Region {
                origin: wgpu::Origin3d { x, y, z: 0 },
                size: extent(width, height),
            })
    }

    fn of<'a>(&self, texture: &'a wgpu::Texture) -> wgpu::TexelCopyTextureInfo<'a> {
        wgpu::TexelCopyTextureInfo {
            texture,
            mip_level: 0,
            origin: self.origin,
            aspect: wgpu::TextureAspect::All,
        }
    }

    fn layout(&self, offset: u64) -> wgpu::TexelCopyBufferLayout {
        wgpu::TexelCopyBufferLayout { offset, bytes_per_row: Some(ROW_BYTES as u32), rows_per_image: None }
    }
}

fn extent(width: u32, height: u32) -> wgpu::Extent3d {
    wgpu::Extent3d { width, height, depth_or_array_layers: 1 }
}

#[cfg(test)]
mod tests {
    use super::{ROW, Region};

    #[test]
    fn regions_cover_each_word_once_and_in_order() {
        for at in [0, 1, 1000, ROW, ROW + 1, 5 * ROW - 1] {
            for n_words in [0, 1, 23, 24, ROW - 1, ROW, ROW + 1, 3 * ROW, 3 * ROW + 5] {
                let words = Region::cover(at, n_words).flat_map(|r| {
                    let rows = r.origin.y..r.origin.y + r.size.height;
                    rows.flat_map(move |y| (0..r.size.width).map(move |x| y * ROW + r.origin.x + x))
                });
                assert!(words.eq(at..at + n_words), "{n_words} words from {at}");
            }
        }
    }
}
