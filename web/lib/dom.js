// Elements from code, without markup in strings: the security policy forbids that anyway.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element. Properties are attributes, except on… (listeners) and false or null ones,
 * which are left out; children are elements, strings, or nothing.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value != null)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
}

/** Make an icon of icons.svg; it says nothing to a screen reader. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `icons.svg#${name}`);
  svg.append(use);
  return svg;
}

export function button(text, iconName, onclick, properties = {}) {
  return h(
    "button",
    { type: "button", class: "button", onclick, ...properties },
    iconName && icon(iconName),
    text,
  );
}

/** Tell a screen reader, without moving the focus. */
export function announce(text) {
  document.getElementById("announcements").textContent = text;
}

/** Show a picture with a box around the face, which is given as fractions of it. */
export function framed(url, alt, box) {
  const frame = box && h("span", { class: "face-box" });
  if (frame) {
    Object.assign(frame.style, {
      left: `${box.left * 100}%`,
      top: `${box.top * 100}%`,
      width: `${box.width * 100}%`,
      height: `${box.height * 100}%`,
    });
  }
  return h("span", { class: "framed" }, h("img", { src: url, alt }), frame);
}

/** Show or take away what is wrong with a field. */
export function complain(field, text) {
  const place = document.getElementById(`${field.id}-error`);
  place.textContent = text;
  place.hidden = !text;
  field.setAttribute("aria-invalid", String(Boolean(text)));
}
