//! The flags that say how an answer is printed. The planner's commands and the kubectl plugin share them.

#![expect(clippy::doc_markdown, reason = "the comments are what --help prints")]

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use everynode_proto::planner::v1::Verdict;
use everynode_render::{
    OutputFormat,
    explain::{ExplainView, Extent, VerdictName},
    simulate::SortBy,
};

/// The flag for the output format.
#[derive(Debug, Clone, Default, Args)]
pub struct OutputArgs {
    /// Output format. table and wide are for people; wide adds columns or details to some tables. json and yaml print
    /// the service's response as grpcurl does. csv prints a header and one line for each row, without grouping.
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "table",
        value_parser = PossibleValuesParser::new(OutputFormat::NAMES).try_map(|name| name.parse::<OutputFormat>())
    )]
    pub output: OutputFormat,
}

/// The flags of the commands whose exit code reports a state.
#[derive(Debug, Clone, Default, Args)]
pub struct ResultArgs {
    /// The flag for the output format.
    #[command(flatten)]
    pub output: OutputArgs,

    /// Print no answer and no notes, only errors and the problems of objects. The exit code reports the result.
    #[arg(short, long)]
    pub quiet: bool,

    /// Exit with 2 instead of 1 if an object has a problem, and with 3 if an object can't be read.
    #[arg(long)]
    pub detailed_exit_code: bool,
}

impl ResultArgs {
    /// The output format.
    pub fn format(&self) -> OutputFormat {
        self.output.output
    }
}

/// The flag that selects verdicts.
#[derive(Debug, Clone, Default, Args)]
pub struct VerdictArgs {
    /// Only pairs of DaemonSet and node with this verdict. Can be repeated. The summary still covers every pair.
    #[arg(
        long = "verdict",
        value_name = "VERDICT",
        ignore_case = true,
        value_parser = PossibleValuesParser::new(VerdictName::NAMES).try_map(|name| name.parse::<VerdictName>()),
        help_heading = "Filters"
    )]
    pub verdicts: Vec<VerdictName>,
}

impl VerdictArgs {
    /// Returns the chosen verdicts. Empty means all verdicts.
    pub fn chosen(&self) -> Vec<Verdict> {
        self.verdicts.iter().map(|name| name.0).collect()
    }
}

/// The flags that select what `explain` prints.
#[derive(Debug, Clone, Default, Args)]
pub struct ExplainViewArgs {
    /// The flag that selects verdicts.
    #[command(flatten)]
    pub verdict: VerdictArgs,

    /// List every pair of DaemonSet and node in the table. Without this flag, the table groups more than 20 pairs.
    #[arg(long, conflicts_with = "summary")]
    pub all: bool,

    /// Print only the summary, without single pairs, in every output format.
    #[arg(long)]
    pub summary: bool,
}

impl ExplainViewArgs {
    /// Returns what the flags select.
    pub fn view(&self) -> ExplainView {
        ExplainView {
            extent: Extent::from_flags(self.all, self.summary),
            verdicts: self.verdict.chosen(),
        }
    }
}

/// The flag for the order of nodes.
#[derive(Debug, Clone, Default, Args)]
pub struct SortArgs {
    /// Order of the nodes in tables and CSV: by name, or by the requested share of a resource, largest first.
    #[arg(
        long = "sort",
        value_name = "ORDER",
        default_value = "name",
        value_parser = PossibleValuesParser::new(SortBy::NAMES).try_map(|name| name.parse::<SortBy>())
    )]
    pub order: SortBy,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        result: ResultArgs,
        #[command(flatten)]
        view: ExplainViewArgs,
        #[command(flatten)]
        sort: SortArgs,
    }

    fn parse(flags: &[&str]) -> Result<Command, clap::Error> {
        Command::try_parse_from(["command"].iter().chain(flags))
    }

    #[test]
    fn flags_select_the_format_the_view_and_the_order() {
        Command::command().debug_assert();
        let default = parse(&[]).unwrap();
        assert_eq!(default.result.format(), OutputFormat::Table);
        assert_eq!(default.view.view(), ExplainView::default());
        assert_eq!(default.sort.order, SortBy::Name);
        let flags = [
            "-q",
            "-o",
            "csv",
            "--summary",
            "--verdict",
            "KEEP",
            "--verdict",
            "run",
            "--sort",
            "memory",
            "--detailed-exit-code",
        ];
        let command = parse(&flags).unwrap();
        assert!(command.result.quiet && command.result.detailed_exit_code);
        assert_eq!(command.result.format(), OutputFormat::Csv);
        let view = ExplainView {
            extent: Extent::Summary,
            verdicts: vec![Verdict::Keep, Verdict::Run],
        };
        assert_eq!(command.view.view(), view);
        assert_eq!(command.sort.order, SortBy::Memory);
    }

    #[test]
    fn all_and_summary_contradict_each_other() {
        assert!(parse(&["--all"]).is_ok());
        assert!(parse(&["--all", "--summary"]).is_err());
    }
}
