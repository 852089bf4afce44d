"""The first sections of a report's page: the film, its image, and whether that is right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from smlm_pipeline.page.markup import Numbers, number, text
from smlm_pipeline.page.pictures import Pictures

_VERDICTS = {
    "ok": ("ok", "✓ ok"),
    "look": ("look", "! look"),
    "not checked": ("open", "not checked"),
}


def name_of(facts: Numbers) -> str:
    """The film, and its channel where it has a name."""
    film = Path(facts["film"]).name
    return f"{film}, {facts['channel']}" if facts["channel"] else film


def head(numbers: Numbers) -> str:
    """Film, date, and the numbers that everyone asks for."""
    facts = numbers["report"]
    taken = f"filmed {facts['acquired']}, " if facts["acquired"] else ""
    molecules = facts["molecules"]
    stated = [
        (f"{facts['emitters']:,.0f}", "molecules (expected number) in the image"),
        (f"{facts['frames']:,}", "frames"),
        (
            f"{facts['sr_pixel_size_nm']:.4g} nm",
            f"pixel; the camera's is {facts['pixel_size_nm']:.4g} nm",
        ),
    ]
    if molecules is not None:
        stated.append((f"{molecules['rows']:,}", "molecules in the table"))
    resolution = facts["resolution"]
    if resolution is not None and resolution["ring_correlation_nm"] is not None:
        stated.append(
            (f"{resolution['ring_correlation_nm']:.0f} nm", "resolution (ring correlation)")
        )
    if facts["error_map"] is not None:
        stated.append((f"{facts['error_map']['rsp']:.3f}", "agreement with the wide field (RSP)"))
    items = "".join(
        f"<li><b>{text(value)}</b><span>{text(name)}</span></li>" for value, name in stated
    )
    return (
        f"<h1>{text(name_of(facts))}</h1>"
        f'<p class="quiet">{text(taken)}reconstructed by {text(facts["software"])} '
        f"({text(facts['model'])}, version {text(facts['model_version'])})</p>"
        f'<ul class="facts">{items}</ul>'
    )


def both_channels(pictures: Pictures) -> str:
    """The picture of two channels, where the page is that of one of them."""
    if not pictures.both:
        return ""
    return (
        f'<h2>Both channels</h2><figure><img alt="Both channels" src="{pictures.both}">'
        "<figcaption>White is where both are. All that follows is of one channel, at its own place "
        "in the film; the notes say how the second one was registered.</figcaption></figure>"
    )


def picture(numbers: Numbers, pictures: Pictures) -> str:
    """The image beside the wide field, with a slider where scripts run."""
    width, height = pictures.size_px
    size = f'width="{width}" height="{height}"'
    wide = f'<img {size} alt="Wide field: the mean of the film" src="{pictures.wide_field}">'
    image = f'<img {size} alt="Super-resolution image" src="{pictures.image}">'
    low, high = pictures.image_limits
    facts = numbers["report"]
    return (
        "<h2>Image and wide field</h2><figure>"
        f'<div class="slider"><div class="stage">{wide}<div class="over">{image}</div>'
        '<div class="edge"></div><span class="tag left">wide field</span>'
        '<span class="tag right">super-resolution</span></div>'
        '<input type="range" min="0" max="100" step="0.1" value="50" '
        'aria-label="Border between wide field and super-resolution image"></div>'
        f'<div class="pair"><div><div class="name">Wide field</div>{wide}</div>'
        f'<div><div class="name">Super-resolution</div>{image}</div></div>'
        f"<figcaption>The wide field is the mean of the film above its background. Colours of the "
        f"image reach from {low:.3g} to {high:.3g} molecules a pixel; it is smoothed for the eye. "
        f"Measure in <code>{text(Path(facts['image']).name)}</code>.{_refined(facts)}"
        "</figcaption></figure>"
    )


def _refined(facts: Numbers) -> str:
    refinement = facts["refinement"]
    if refinement is None or not refinement.get("steps"):
        return ""
    return f" It was refined in {refinement['steps']} steps: an estimate, not a resolution."


def trust(numbers: Numbers, pictures: Pictures) -> str:
    """The checks, and the error map."""
    found = numbers["report"]["error_map"]
    rows = "".join(_check(check) for check in numbers["report"]["checks"])
    light = [number(value) for value in pictures.light_adu]
    ends = f"{number(pictures.ends_adu)} ADU"
    grey = f'<div class="scale">{light[0]}<i class="grey"></i>{light[1]} ADU</div>'
    two = f'<div class="scale">-{ends}<i class="two"></i>+{ends}</div>'
    panels = (
        ("Wide field", pictures.seen, grey),
        ("Image, blurred back", pictures.model, grey),
        ("Error map: the difference", pictures.difference, two),
    )
    maps = "".join(
        f'<div><h3>{name}</h3><img alt="{name}" src="{address}">{scale}</div>'
        for name, address, scale in panels
    )
    sigma = "-" if found["sigma_px"] is None else f"{found['sigma_px']:.2f} camera pixels"
    drift = numbers["report"]["drift"]
    before = " before its drift was taken out" if drift is not None and drift["corrected"] else ""
    return (
        '<h2>Is the picture right?</h2><table class="checks"><thead><tr><th scope="col">check</th>'
        f'<th scope="col">verdict</th><th scope="col">found</th></tr></thead><tbody>{rows}</tbody>'
        f'</table><figure><div class="maps">{maps}</div><figcaption>Red: light that the image '
        "lacks. Blue: molecules without light. Grey: not judged. The image"
        f"{before} is blurred by a Gaussian (sigma {sigma}) and fitted to the wide field. Pearson "
        f"correlation (RSP) {found['rsp']:.4f}; root mean square error (RSE) "
        f"{number(found['rse_adu'])} ADU, {found['rse_percent_of_brightest']:.2g} % of the "
        f"brightest structures, of which noise is {number(found['noise_adu'])} ADU. Detail finer "
        "than the optics is not judged by it.</figcaption></figure>"
    )


def _check(check: Mapping[str, str]) -> str:
    kind, verdict = _VERDICTS[check["verdict"]]
    return (
        f'<tr><th scope="row">{text(check["name"])}</th><td class="verdict {kind}">{verdict}</td>'
        f"<td>{text(check['text'])}</td></tr>"
    )


def warnings(numbers: Numbers) -> str:
    """All notes in words."""
    notes = numbers["report"]["notes"]
    if not notes:
        return "<h2>Notes and warnings</h2><p>None.</p>"
    items = "".join(f"<li>{text(note)}</li>" for note in notes)
    return f'<h2>Notes and warnings</h2><ul class="warnings">{items}</ul>'
