//! GGUF files with other strings than they have: chat templates, spellings of tokens, keys.

use crate::gguf_writer::string;

/// A string that nothing reads, so that it can take up what the others gain or lose in length.
const DESCRIPTION: &str = "general.description";
/// What the data of a GGUF file is aligned to.
const ALIGNMENT: usize = 32;

/// `file` with strings replaced, each of which it has once as a whole. The data of the tensors stays
/// aligned.
pub fn with_strings(file: &[u8], changes: &[(&str, &str)]) -> Vec<u8> {
    let mut patched = file.to_vec();
    for (old, new) in changes {
        let (old, new) = (string(old), string(new));
        let places: Vec<usize> = (0..patched.len()).filter(|&at| patched[at..].starts_with(&old)).collect();
        assert_eq!(places.len(), 1, "the string is not unique");
        patched.splice(places[0]..places[0] + old.len(), new);
    }
    pad_description(&mut patched, file.len());
    patched
}

/// Lengthens the description until the file is longer than it was by a multiple of the alignment.
fn pad_description(file: &mut Vec<u8>, old_len: usize) {
    let key = string(DESCRIPTION);
    let at = (0..file.len()).find(|&at| file[at..].starts_with(&key)).expect("a description");
    let length_at = at + key.len() + 4;
    let text_at = length_at + 8;
    let length = u64::from_le_bytes(file[length_at..text_at].try_into().expect("eight bytes"));
    let missing = (old_len + ALIGNMENT * file.len() - file.len()) % ALIGNMENT;
    file.splice(text_at..text_at, vec![b' '; missing]);
    file[length_at..text_at].copy_from_slice(&(length + missing as u64).to_le_bytes());
}
