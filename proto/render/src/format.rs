//! The output formats of `-o`, and the capabilities of the terminal.

use std::{
    env,
    ffi::OsString,
    io::{self, IsTerminal},
    str::FromStr,
};

/// How an answer is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// A table with more columns.
    Wide,
    /// JSON, in protobuf's mapping.
    Json,
    /// YAML, in protobuf's JSON mapping.
    Yaml,
}

impl Format {
    /// The names that `-o` accepts, in the order in which help lists them.
    pub const NAMES: [&'static str; 4] = ["table", "wide", "json", "yaml"];
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "table" => Ok(Self::Table),
            "wide" => Ok(Self::Wide),
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            _ => Err(format!("must be one of {}", Self::NAMES.join(", "))),
        }
    }
}

/// How tables are displayed: columns, colours and width. The default is for a file or a pipe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct View {
    /// Whether the user asked for more columns.
    pub wide: bool,
    /// Whether the output supports colours and the user wants them.
    pub colours: bool,
    /// The number of characters that fit into a line. With `None`, lines may have any length.
    pub width: Option<usize>,
}

impl View {
    /// Returns the view for standard output, according to what it can show.
    pub fn of_stdout(format: Format) -> Self {
        let wide = format == Format::Wide;
        if !io::stdout().is_terminal() {
            return Self {
                wide,
                ..Self::default()
            };
        }
        Self {
            wide,
            colours: colours_are_wanted(&io::stdout()),
            width: terminal_size::terminal_size().map(|(width, _)| width.0.into()),
        }
    }
}

/// Whether the stream supports colours and the user wants them: it is a terminal, and neither `NO_COLOR` (see
/// <https://no-color.org>) nor `TERM=dumb` turns them off.
pub fn colours_are_wanted(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && environment_allows_colours(|variable| env::var_os(variable))
}

fn environment_allows_colours(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_refused = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = variable("TERM").is_some_and(|terminal| terminal == "dumb");
    !is_refused && !is_dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_gets_colours_and_only_where_the_environment_allows_them() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(!colours_are_wanted(&file));
        for (set, allowed) in [
            (None, true),
            (Some(("NO_COLOR", "1")), false),
            (Some(("NO_COLOR", "")), true),
            (Some(("TERM", "dumb")), false),
            (Some(("TERM", "xterm")), true),
        ] {
            let variable = |name: &str| set.filter(|(set, _)| *set == name).map(|(_, value)| value.into());
            assert_eq!(environment_allows_colours(variable), allowed, "{set:?}");
        }
    }

    #[test]
    fn every_name_is_a_format_and_others_are_refused_with_the_choice() {
        for name in Format::NAMES {
            assert!(name.parse::<Format>().is_ok(), "{name}");
        }
        let error = "xml".parse::<Format>().unwrap_err();
        assert_eq!(error, "must be one of table, wide, json, yaml");
    }
}
