//! The output formats of `-o`, and the style of tables.

use std::{
    env,
    ffi::OsString,
    io::{self, IsTerminal},
    str::FromStr,
};

/// How an answer is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OutputFormat {
    /// Columns for people.
    #[default]
    Table,
    /// Columns for people, with more details.
    Wide,
    /// Protobuf's JSON mapping.
    Json,
    /// Protobuf's JSON mapping, as YAML.
    Yaml,
    /// Comma-separated values with one header line, one row for each pair or object.
    Csv,
}

impl OutputFormat {
    /// The names that `-o` accepts, in the order of the help.
    pub const NAMES: [&'static str; 5] = ["table", "wide", "json", "yaml", "csv"];

    /// Whether this format is a table for people.
    pub fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

impl FromStr for OutputFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "table" => Ok(Self::Table),
            "wide" => Ok(Self::Wide),
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            "csv" => Ok(Self::Csv),
            _ => Err(format!("must be one of {}", Self::NAMES.join(", "))),
        }
    }
}

/// The style of tables: columns, colors and width. The default is for a file or a pipe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableStyle {
    /// Whether tables have more columns.
    pub is_wide: bool,
    /// Whether tables have colors.
    pub has_colors: bool,
    /// The number of characters that fit into a line. `None` means no limit.
    pub width: Option<usize>,
}

impl TableStyle {
    /// Returns the style for standard output. Only a terminal gets colors and a limited width.
    pub fn for_stdout(format: OutputFormat) -> Self {
        let is_wide = format == OutputFormat::Wide;
        if !io::stdout().is_terminal() {
            return Self {
                is_wide,
                ..Self::default()
            };
        }
        Self {
            is_wide,
            has_colors: supports_colors(&io::stdout()),
            width: terminal_size::terminal_size().map(|(width, _)| width.0.into()),
        }
    }
}

/// Whether output to the stream should have colors: it is a terminal, and neither `NO_COLOR` (see
/// <https://no-color.org>) nor `TERM=dumb` turns them off.
pub fn supports_colors(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && environment_allows_colors(|variable| env::var_os(variable))
}

fn environment_allows_colors(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_disabled = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = variable("TERM").is_some_and(|terminal| terminal == "dumb");
    !is_disabled && !is_dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_gets_colors_and_only_if_the_environment_allows_them() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(!supports_colors(&file));
        for (set, allowed) in [
            (None, true),
            (Some(("NO_COLOR", "1")), false),
            (Some(("NO_COLOR", "")), true),
            (Some(("TERM", "dumb")), false),
            (Some(("TERM", "xterm")), true),
        ] {
            let variable = |name: &str| set.filter(|(set, _)| *set == name).map(|(_, value)| value.into());
            assert_eq!(environment_allows_colors(variable), allowed, "{set:?}");
        }
    }

    #[test]
    fn every_listed_name_is_a_format_and_other_names_are_errors() {
        for name in OutputFormat::NAMES {
            assert!(name.parse::<OutputFormat>().is_ok(), "{name}");
        }
        let error = "xml".parse::<OutputFormat>().unwrap_err();
        assert_eq!(error, "must be one of table, wide, json, yaml, csv");
    }
}
