//! `halfbyte logits`: the raw output of the model for given tokens, for comparison with others.

use std::path::PathBuf;

use halfbyte::{LogitRows, Model};
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

use crate::failure::Failure;
use crate::options::{Ids, ModelArgs};
use crate::report;

const EXAMPLES: &str = "\
Examples:
  halfbyte logits model.gguf --ids 1,450,7483 --output logits.safetensors
  halfbyte logits model.gguf --ids @ids.txt --backend cpu --output logits.safetensors
  python3 -c \"from safetensors.numpy import load_file; print(load_file('logits.safetensors'))\"";

/// Write the logits of every token of a list to a safetensors file
///
/// The file has one tensor, `logits`: f32, [tokens, vocabulary]. Row i follows tokens 0 to i.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,

    /// The token ids, such as 1,2,3, or @FILE; nothing is added to them
    #[arg(long, value_name = "IDS", value_parser = Ids::parse)]
    ids: Ids,

    /// The file to write
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

/// Runs the command.
pub(crate) fn logits(args: &Args) -> Result<(), Failure> {
    let ids = args.ids.read()?;
    let model = args.model.open()?;
    let mut kv = model.new_kv_cache(ids.len())?;
    let bar = report::progress("computing", ids.len());
    let (mut bytes, mut logits) = (Vec::new(), Vec::new());
    for batch in ids.chunks(Model::BATCH) {
        model.forward(batch, &mut kv, LogitRows::All, &mut logits)?;
        bytes.extend(logits.iter().flat_map(|logit| logit.to_le_bytes()));
        bar.set(kv.len());
    }
    let shape = vec![ids.len(), model.config().n_vocab];
    let failed = |error| {
        let path = args.output.display();
        Failure::new(format!("cannot write {path}: {error}"))
    };
    let tensor = TensorView::new(Dtype::F32, shape, &bytes).map_err(failed)?;
    serialize_to_file([("logits", tensor)], None, &args.output).map_err(failed)
}
