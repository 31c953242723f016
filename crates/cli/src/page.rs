//! Parts of every HTML page: one file, without scripts and with its pictures inside.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The beginning of a page, up to its heading. `</html>` ends it.
pub fn begin(title: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>\n\
         body {{ font: 14px sans-serif; margin: 2em }}\n\
         img {{ width: 112px; image-rendering: pixelated; margin: 1px }}\n\
         table {{ border-collapse: collapse }}\n\
         th {{ text-align: left; font-weight: normal; padding-right: 1em }}\n\
         td.number {{ text-align: right; padding: 0 0.5em }}\n\
         figure {{ display: inline-block; width: 116px; margin: 0 8px 12px 0; vertical-align: top; font-size: 12px;\n\
         overflow-wrap: anywhere }}\n</style>\n<h1>{title}</h1>\n"
    )
}

/// A PNG file within HTML.
pub fn picture(alt: &str, png: &[u8]) -> String {
    format!("<img alt=\"{}\" src=\"data:image/png;base64,{}\">", escaped(alt), STANDARD.encode(png))
}

/// A picture with text below it, which is HTML.
pub fn figure(alt: &str, png: &[u8], caption: &str) -> String {
    format!("<figure>{}<figcaption>{caption}</figcaption></figure>\n", picture(alt, png))
}

/// Text within HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
