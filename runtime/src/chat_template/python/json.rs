//! The filter `tojson` as `transformers` defines it: Python's `json.dumps`.

use std::io::{self, Write};

use minijinja::value::{Kwargs, Value};
use minijinja::{Error, ErrorKind};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// The arguments of `json.dumps` that `tojson` has.
struct Options {
    indent: Option<usize>,
    item_separator: String,
    key_separator: String,
    /// Whether characters beyond ASCII are spelled `\u00b0`.
    ensure_ascii: bool,
    sort_keys: bool,
}

/// `tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false)`.
pub(in crate::chat_template) fn tojson(value: Value, arguments: Kwargs) -> Result<Value, Error> {
    let options = Options::new(&arguments)?;
    let mut json = Vec::new();
    let unserialisable = |_| Error::from(ErrorKind::BadSerialization);
    if options.sort_keys {
        let mut sorted = serde_json::to_value(&value).map_err(unserialisable)?;
        sorted.sort_all_objects();
        write(&sorted, options, &mut json)?;
    } else {
        write(&value, options, &mut json)?;
    }
    let json = String::from_utf8(json).map_err(|_| Error::from(ErrorKind::BadSerialization))?;
    Ok(Value::from_safe_string(json))
}

fn write(value: &impl Serialize, options: Options, json: &mut Vec<u8>) -> Result<(), Error> {
    value
        .serialize(&mut Serializer::with_formatter(json, PythonJson::new(options)))
        .map_err(|_| Error::from(ErrorKind::BadSerialization))
}

impl Options {
    fn new(arguments: &Kwargs) -> Result<Options, Error> {
        let indent: Option<usize> = arguments.get("indent")?;
        let separators: Option<(String, String)> = arguments
            .get::<Option<Vec<String>>>("separators")?
            .map(<[String; 2]>::try_from)
            .transpose()
            .map_err(|_| Error::new(ErrorKind::InvalidOperation, "separators must be two strings"))?
            .map(Into::into);
        // A line end takes the place of the space after a comma.
        let default_comma = if indent.is_some() { "," } else { ", " };
        let (item_separator, key_separator) =
            separators.unwrap_or_else(|| (default_comma.into(), ": ".into()));
        let is_set = |name| Ok::<bool, Error>(arguments.get::<Option<bool>>(name)?.unwrap_or(false));
        let (ensure_ascii, sort_keys) = (is_set("ensure_ascii")?, is_set("sort_keys")?);
        arguments.assert_all_used()?;
        Ok(Options { indent, item_separator, key_separator, ensure_ascii, sort_keys })
    }
}

/// A number as Python's `repr` has it: `1e-05`, where Rust writes `1e-5`.
fn repr(value: f64) -> String {
    let scientific = format!("{value:e}");
    let exponent =
        scientific.split_once('e').and_then(|(digits, power)| Some((digits, power.parse::<i32>().ok()?)));
    match exponent {
        Some((digits, power)) if !(-4..16).contains(&power) => {
            let sign = if power < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", power.abs())
        }
        _ => format!("{value:?}"),
    }
}

/// Writes what Python writes.
struct PythonJson {
    options: Options,
    depth: usize,
    is_empty: bool,
}

impl PythonJson {
    fn new(options: Options) -> PythonJson {
        PythonJson { options, depth: 0, is_empty: true }
    }

    fn begin<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.is_empty = true;
        writer.write_all(bracket)
    }

    fn separate<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(self.options.item_separator.as_bytes())?;
        }
        self.new_line(writer)
    }

    fn end<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if !self.is_empty {
            self.new_line(writer)?;
        }
        self.is_empty = false;
        writer.write_all(bracket)
    }

    fn new_line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        match self.options.indent {
            Some(indent) => write!(writer, "\n{:width$}", "", width = indent * self.depth),
            None => Ok(()),
        }
    }
}

impl Formatter for PythonJson {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(repr(value).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if !self.options.ensure_ascii {
            return writer.write_all(fragment.as_bytes());
        }
        for letter in fragment.chars() {
            match letter {
                '\u{7f}'.. => {
                    letter
                        .encode_utf16(&mut [0; 2])
                        .iter()
                        .try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
                }
                _ => write!(writer, "{letter}")?,
            }
        }
        Ok(())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"[")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.separate(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.is_empty = false;
        Ok(())
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]")
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"{")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.separate(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(self.options.key_separator.as_bytes())
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.is_empty = false;
        Ok(())
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}")
    }
}

#[cfg(test)]
mod tests {
    use super::repr;

    /// Expected values from Python 3.11.
    #[test]
    fn numbers_are_those_of_python() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (0.001, "0.001"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-1.5e-7, "-1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e300, "1.25e+300"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            assert_eq!(repr(value), text);
        }
    }
}
