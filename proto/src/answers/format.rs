//! What `-o` asks for, and what the terminal can show.

use std::{
    env,
    io::{self, IsTerminal},
    str::FromStr,
};

/// How an answer is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// The same with more columns.
    Wide,
    /// JSON, in protobuf's mapping.
    Json,
    /// The same as YAML.
    Yaml,
}

impl Format {
    /// What `-o` understands, in the order in which help lists it.
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

/// What tables may use of the place where they are shown. The default is what a file or a pipe gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct View {
    /// Whether more columns are asked for.
    pub wide: bool,
    /// Whether colours are understood, and wanted.
    pub colours: bool,
    /// How many characters fit into a line; without one, lines may be of any length.
    pub width: Option<usize>,
}

impl View {
    /// What standard output can show. `NO_COLOR` is heeded as <https://no-color.org> has it.
    pub fn of_stdout(format: Format) -> Self {
        let wide = format == Format::Wide;
        if !io::stdout().is_terminal() {
            return Self {
                wide,
                ..Self::default()
            };
        }
        let is_set = |variable| env::var_os(variable).is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Self {
            wide,
            colours: !is_set("NO_COLOR") && !is_dumb,
            width: terminal_size::terminal_size().map(|(width, _)| width.0.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_format_and_others_are_refused_with_the_choice() {
        for name in Format::NAMES {
            assert!(name.parse::<Format>().is_ok(), "{name}");
        }
        let error = "xml".parse::<Format>().unwrap_err();
        assert_eq!(error, "must be one of table, wide, json, yaml");
    }
}
