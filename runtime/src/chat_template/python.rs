//! What chat templates expect of Python and `transformers` beyond Jinja itself.

mod json;

pub(super) use json::tojson;

use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::Error;
use minijinja::value::{Kwargs, Value};

/// The widest indentation: far beyond what templates use, so that none asks for gigabytes.
const MAX_INDENT: usize = 64;

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Drops the tags `{% generation %}` and `{% endgeneration %}`, which mark the model's own words for
/// training: the parts between them stay, as the branch of an `if` that is always taken.
pub(super) fn without_generation_tags(source: &str) -> String {
    let mut source = source.to_owned();
    for (tag, instead) in [("generation", "if true"), ("endgeneration", "endif")] {
        for (open, close) in [("{%-", "-%}"), ("{%-", "%}"), ("{%", "-%}"), ("{%", "%}")] {
            source = source.replace(&format!("{open} {tag} {close}"), &format!("{open} {instead} {close}"));
        }
    }
    source
}

/// The filter `indent(width=4, first=false, blank=false)` as Jinja2 has it: a line end that ends the text
/// stays. `width` is a number of spaces or the indentation itself.
pub(super) fn indent(text: &str, width: Option<Value>, arguments: Kwargs) -> Result<String, Error> {
    let width = match width {
        Some(width) => width,
        None => arguments.get::<Option<Value>>("width")?.unwrap_or_else(|| Value::from(4)),
    };
    let is_set = |name| Ok::<bool, Error>(arguments.get::<Option<bool>>(name)?.unwrap_or(false));
    let (first, blank) = (is_set("first")?, is_set("blank")?);
    arguments.assert_all_used()?;
    let indentation = match width.as_str() {
        Some(indentation) => indentation.to_owned(),
        None => " ".repeat(usize::try_from(width)?.min(MAX_INDENT)),
    };
    let lines = text.split('\n').enumerate().map(|(number, line)| {
        let is_indented = if number == 0 { first } else { blank || !line.is_empty() };
        format!("{}{line}", if is_indented { &indentation } else { "" })
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// `strftime_now(format)`: the date and time in UTC.
pub(super) fn strftime_now(format: &str) -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    strftime(format, since_epoch.map_or(0, |time| time.as_secs()))
}

/// Python's `strftime` in the C locale for a time in seconds since 1970, UTC. What is no directive,
/// or none of those a prompt needs, stays as it is.
fn strftime(format: &str, seconds: u64) -> String {
    let mut text = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let rest = letters.as_str();
        let (padded, directive) = match rest.strip_prefix('-') {
            Some(unpadded) => (false, unpadded.chars().next()),
            None => (true, rest.chars().next()),
        };
        match directive.and_then(|directive| field(directive, padded, seconds)) {
            Some(field) => {
                text.push_str(&field);
                letters.nth(usize::from(!padded));
            }
            None => text.push('%'),
        }
    }
    text
}

/// One directive; numbers are padded with zeros to their usual width unless `padded` is false.
fn field(directive: char, padded: bool, seconds: u64) -> Option<String> {
    let days = seconds / 86_400;
    let (year, month, day) = civil_date(days);
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    let month_name = MONTHS[(month - 1) as usize];
    let weekday = WEEKDAYS[((days + 3) % 7) as usize]; // 1970 began on a Thursday
    let number = |value: u64, width: usize| match padded {
        true => format!("{value:0width$}"),
        false => value.to_string(),
    };
    Some(match directive {
        'Y' => number(year, 4),
        'y' => number(year % 100, 2),
        'm' => number(month, 2),
        'B' => month_name.into(),
        'b' | 'h' => month_name[..3].into(),
        'd' => number(day, 2),
        'e' => format!("{day:2}"),
        'j' => number(days - days_before(year) + 1, 3),
        'A' => weekday.into(),
        'a' => weekday[..3].into(),
        'H' => number(hour, 2),
        'I' => number((hour + 11) % 12 + 1, 2),
        'M' => number(minute, 2),
        'S' => number(seconds % 60, 2),
        'p' => if hour < 12 { "AM" } else { "PM" }.into(),
        'Z' => "UTC".into(),
        '%' => "%".into(),
        _ => return None,
    })
}

/// Year, month and day, from 1, in the Gregorian calendar.
fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    let mut year = 1970 + days_since_1970 / 366;
    while days_before(year + 1) <= days_since_1970 {
        year += 1;
    }
    let mut day = days_since_1970 - days_before(year);
    let mut month = 1;
    while day >= days_in(month, year) {
        day -= days_in(month, year);
        month += 1;
    }
    (year, month, day + 1)
}

/// Days from 1970 to the beginning of `year`.
fn days_before(year: u64) -> u64 {
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969)
}

fn days_in(month: u64, year: u64) -> u64 {
    match month {
        2 => 28 + u64::from(days_before(year + 1) - days_before(year) == 366),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::strftime;

    /// Expected values from GNU `date -u -d @SECONDS`.
    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "Thursday 1970-01-01 00:00:00 001"),
            (68_169_599, "Monday 1972-02-28 23:59:59 059"),
            (68_169_600, "Tuesday 1972-02-29 00:00:00 060"),
            (951_782_400, "Tuesday 2000-02-29 00:00:00 060"),
            (1_735_689_599, "Tuesday 2024-12-31 23:59:59 366"),
            (1_735_689_600, "Wednesday 2025-01-01 00:00:00 001"),
            (4_107_542_400, "Monday 2100-03-01 00:00:00 060"),
        ] {
            assert_eq!(strftime("%A %Y-%m-%d %H:%M:%S %j", seconds), date);
        }
    }

    #[test]
    fn directives_are_those_of_python() {
        let text = strftime("%d %b %y, %-d. %B, %I:%M %p, %a, 100%% %q %", 1_735_689_600);
        assert_eq!(text, "01 Jan 25, 1. January, 12:00 AM, Wed, 100% %q %");
    }
}
