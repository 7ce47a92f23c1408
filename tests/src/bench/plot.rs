//! Charts that compare outcomes over time.

use anyhow::{Context as _, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::report::{Outcome, Report};

const SIZE: (u32, u32) = (900, 780);
const COLORS: [RGBColor; 3] = [
    RGBColor(200, 80, 40),
    RGBColor(30, 110, 180),
    RGBColor(120, 120, 120),
];

type Line = Vec<(f64, f64)>;

/// One chart, and the line that it draws for each outcome.
struct Panel {
    title: &'static str,
    line: fn(&Outcome) -> Line,
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "pods created",
        line: created,
    },
    Panel {
        title: "CPU seconds",
        line: cpu,
    },
    Panel {
        title: "resident memory, MB",
        line: memory,
    },
];

#[expect(clippy::cast_precision_loss, reason = "a point in a drawing")]
fn created(outcome: &Outcome) -> Line {
    let counted = outcome.created.iter().enumerate();
    counted
        .map(|(index, seconds)| (*seconds, index as f64 + 1.0))
        .collect()
}

fn cpu(outcome: &Outcome) -> Line {
    let samples = outcome.samples.iter();
    samples
        .map(|sample| (sample.seconds, sample.cpu_seconds))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "a point in a drawing")]
fn memory(outcome: &Outcome) -> Line {
    let samples = outcome.samples.iter();
    samples
        .map(|sample| (sample.seconds, sample.rss_bytes as f64 / 1e6))
        .collect()
}

/// Draws the charts of all scenarios one below the other, as SVG.
///
/// # Errors
/// When a chart can't be drawn.
pub fn svg(reports: &[Report]) -> Result<String> {
    let mut svg = String::new();
    {
        let (width, height) = SIZE;
        let count = u32::try_from(reports.len()).context("too many scenarios")?;
        let area = SVGBackend::with_string(&mut svg, (width, height * count)).into_drawing_area();
        area.fill(&WHITE).map_err(|error| anyhow!("drawing: {error}"))?;
        for (area, report) in area.split_evenly((reports.len(), 1)).iter().zip(reports) {
            draw(area, report).map_err(|error| anyhow!("drawing: {error}"))?;
        }
        area.present().map_err(|error| anyhow!("drawing: {error}"))?;
    }
    Ok(svg)
}

fn draw(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    report: &Report,
) -> Result<(), Box<dyn std::error::Error>> {
    let area = area.titled(&report.title, ("sans-serif", 18))?;
    for (part, panel) in area.split_evenly((PANELS.len(), 1)).iter().zip(&PANELS) {
        let lines: Vec<_> = report
            .outcomes
            .iter()
            .map(|outcome| (outcome.contender.as_str(), (panel.line)(outcome)))
            .collect();
        let points = || lines.iter().flat_map(|(_, line)| line);
        let most_x = points().map(|point| point.0).fold(0.1, f64::max);
        let most_y = points().map(|point| point.1).fold(0.1, f64::max);
        let mut chart = ChartBuilder::on(part)
            .caption(panel.title, ("sans-serif", 14))
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..most_x, 0.0..most_y * 1.05)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("seconds")
            .draw()?;
        for ((name, line), color) in lines.into_iter().zip(COLORS) {
            if line.is_empty() {
                continue;
            }
            chart
                .draw_series(LineSeries::new(line, color.stroke_width(2)))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .draw()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::meter::Sample;

    #[test]
    fn plot_contains_every_contender() {
        let outcome = |contender: &str| Outcome {
            contender: contender.to_owned(),
            figures: Vec::new(),
            samples: (0..10)
                .map(|index| Sample {
                    seconds: f64::from(index),
                    cpu_seconds: f64::from(index) * 0.1,
                    rss_bytes: 1_000_000,
                })
                .collect(),
            created: vec![0.5, 1.0],
        };
        let report = Report {
            title: "create".to_owned(),
            outcomes: vec![outcome("one"), outcome("other")],
        };
        let svg = svg(&[report.clone(), report]).unwrap();
        assert_eq!(svg.matches("</svg>").count(), 1, "{svg}");
        for part in ["<svg", "create", "one", "other", "CPU seconds", "</svg>"] {
            assert!(svg.contains(part), "{part} is missing in {svg}");
        }
    }
}
