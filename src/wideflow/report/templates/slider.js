// A figure with [data-player] shows one of its frames; the range input chooses, the button plays them in turn.
"use strict";
for (const player of document.querySelectorAll("[data-player]")) {
  const frames = [...player.querySelectorAll(".frame")];
  const range = player.querySelector("input[type=range]");
  const output = player.querySelector("output");
  const button = player.querySelector("[data-play]");
  const pause = 700;  // milliseconds a frame
  let timer = null;

  const show = (index) => {
    frames.forEach((frame, position) => { frame.hidden = position !== index; });
    output.textContent = frames[index].dataset.label;
    range.value = index;
    range.setAttribute("aria-valuetext", frames[index].dataset.label);
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "▶ Play";
    button.setAttribute("aria-pressed", "false");
  };
  const step = () => {
    const next = Number(range.value) + 1;
    show(next);
    if (next === frames.length - 1) stop();
  };
  const play = () => {
    if (Number(range.value) === frames.length - 1) show(0);
    timer = setInterval(step, pause);
    button.textContent = "❚❚ Pause";
    button.setAttribute("aria-pressed", "true");
  };

  range.addEventListener("input", () => { stop(); show(Number(range.value)); });
  button.addEventListener("click", () => { if (timer === null) play(); else stop(); });
  button.hidden = frames.length < 2;
  show(Number(range.value));
}

// On paper everything is open.
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details:not([open])")) { one.open = true; one.dataset.closed = ""; }
});
addEventListener("afterprint", () => {
  for (const one of document.querySelectorAll("details[data-closed]")) { one.open = false; delete one.dataset.closed; }
});
