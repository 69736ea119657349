"""PDF and HEIC files that attack their reader; every function writes one and returns its path."""

from pathlib import Path

LETTER = (612, 792)  # points


def pdf(path: Path, pages: list[str], objects: list[str] = (), trailer: str = "") -> Path:
    """A PDF from the entries of its pages and further objects, numbered after the pages."""
    kids = " ".join(f"{3 + number} 0 R" for number in range(len(pages)))
    bodies = ["<< /Type /Catalog /Pages 2 0 R >>"]
    bodies += [f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>"]
    bodies += [f"<< /Type /Page /Parent 2 0 R {entries} >>" for entries in pages]
    bodies += objects
    content, places = b"%PDF-1.5\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(content))
        content += f"{number} 0 obj\n{body}\nendobj\n".encode()
    rows = "".join(f"{place:010d} 00000 n \n" for place in places)
    count = len(bodies) + 1
    end = f"xref\n0 {count}\n0000000000 65535 f \n{rows}trailer\n<< /Size {count} /Root 1 0 R "
    path.write_bytes(content + f"{end}{trailer}>>\nstartxref\n{len(content)}\n%%EOF\n".encode())
    return path


def box(width: float, height: float) -> str:
    """Entries of an empty page of a size in points."""
    return f"/MediaBox [0 0 {width} {height}]"


def blank(path: Path, count: int, size: tuple[float, float] = LETTER) -> Path:
    """A PDF of empty pages."""
    return pdf(path, [box(*size)] * count)


def encrypted(path: Path) -> Path:
    """A PDF whose password nobody knows."""
    key = "<" + "5a" * 32 + ">"
    entries = f"/Filter /Standard /V 2 /R 3 /Length 128 /P -4 /O {key} /U {key}"
    identity = "/ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>] "
    return pdf(path, [box(*LETTER)], [f"<< {entries} >>"], f"/Encrypt 4 0 R {identity}")


def claims_pages(path: Path, count: int) -> Path:
    """A PDF of one page that says it has more."""
    blank(path, 1)
    path.write_bytes(path.read_bytes().replace(b"/Count 1 ", f"/Count {count} ".encode()))
    return path


def nested_forms(path: Path, levels: int, fan: int) -> Path:
    """A page that draws `fan` ** `levels` times a form that is drawn by forms."""
    objects = []
    for level in range(levels):
        last = level + 1 == levels
        body = "0 0 1 1 re f" if last else "/F Do " * fan
        inner = "" if last else f"/Resources << /XObject << /F {5 + level} 0 R >> >> "
        objects.append(
            f"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] {inner}/Length {len(body)} >>\n"
            f"stream\n{body}\nendstream"
        )
    first = "<< /Length 5 >>\nstream\n/F Do\nendstream"
    page = f"{box(*LETTER)} /Resources << /XObject << /F 4 0 R >> >> /Contents {4 + levels} 0 R"
    return pdf(path, [page], [*objects, first])


def enlarged_heic(path: Path, side: int) -> Path:
    """A HEIC whose header claims `side` x `side` pixels; needs pillow-heif."""
    import pillow_heif  # noqa: PLC0415 - an extra
    from PIL import Image  # noqa: PLC0415

    pillow_heif.register_heif_opener()
    Image.new("RGB", (64, 64)).save(path, "HEIF")
    content = path.read_bytes()
    place = content.index(b"ispe") + 8  # version and flags come first
    size = side.to_bytes(4, "big") * 2
    path.write_bytes(content[:place] + size + content[place + 8 :])
    return path
