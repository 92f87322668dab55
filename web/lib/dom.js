// Create and change elements. There is no markup in strings, which could allow injection.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Create an element.
 *
 * A property whose name begins with "on" is an event listener; every other property is an
 * attribute. Properties that are false or null are ignored. Children are elements or strings;
 * null and false are ignored.
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

/** Create an icon from icons.svg. Screen readers ignore it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** Create a button with an optional icon. */
export function button(text, iconName, onclick, properties = {}) {
  return h(
    "button",
    { type: "button", class: "button", onclick, ...properties },
    iconName && icon(iconName),
    text,
  );
}

/** Announce a text to screen readers without moving the focus. */
export function announce(text) {
  document.getElementById("announcements").textContent = text;
}

/** Create a picture with a box around the face. The box is in fractions of the picture's sides. */
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

/** Show an error message below a field, or remove it if the text is empty. */
export function showError(field, text) {
  const place = document.getElementById(`${field.id}-error`);
  place.textContent = text;
  place.hidden = !text;
  field.setAttribute("aria-invalid", String(Boolean(text)));
}
