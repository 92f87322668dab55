// Replace every photograph on a page by a drawn figure, with the head where the face was found.
// screenshots.py passes this function to Playwright's evaluate.
async () => {
  const figure = (width, height, { x, y, size }) => `
    <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}"
         width="${width}" height="${height}">
      <rect width="100%" height="100%" fill="#b9c8c6"/>
      <g transform="translate(${x} ${y}) scale(${size})">
        <ellipse cy="2.4" rx="1.35" ry="1.6" fill="#45606a"/>
        <rect x="-0.2" width="0.4" height="1" rx="0.2" fill="#d6a98a"/>
        <ellipse cy="-0.12" rx="0.54" ry="0.66" fill="#3b2d28"/>
        <ellipse rx="0.42" ry="0.56" fill="#e7bfa2"/>
      </g>
    </svg>`;

  const draw = (image, width, height, face) => {
    const drawing = new Blob([figure(width, height, face)], { type: "image/svg+xml" });
    image.src = URL.createObjectURL(drawing);
    image.dataset.drawn = "";
    return image.decode();
  };

  const part = (percentage) => parseFloat(percentage) / 100;

  for (const image of document.querySelectorAll(".framed img:not([data-drawn])")) {
    const { naturalWidth: width, naturalHeight: height } = image;
    const box = image.parentElement.querySelector(".face-box")?.style;
    const found = box && {
      x: (part(box.left) + part(box.width) / 2) * width,
      y: (part(box.top) + part(box.height) / 2) * height,
      size: part(box.height) * height,
    };
    await draw(
      image,
      width,
      height,
      found ?? { x: width / 2, y: height * 0.4, size: height * 0.4 },
    );
  }

  for (const video of document.querySelectorAll("video:not([data-drawn])")) {
    const image = new Image();
    Object.assign(image.style, { width: "100%", height: "100%", minHeight: 0, objectFit: "cover" });
    await draw(image, 640, 480, { x: 320, y: 220, size: 230 });
    video.after(image);
    video.style.visibility = "hidden";
    video.dataset.drawn = "";
  }
};
