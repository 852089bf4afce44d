"use strict";
document.documentElement.classList.add("js");
for (const slider of document.querySelectorAll(".slider")) {
  const stage = slider.querySelector(".stage");
  const range = slider.querySelector("input");
  const move = (percent) => {
    const at = Math.min(100, Math.max(0, percent));
    range.value = at;
    stage.style.setProperty("--at", at + "%");
  };
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    move(100 * (event.clientX - box.left) / box.width);
  };
  range.addEventListener("input", () => move(Number(range.value)));
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    follow(event);
  });
  stage.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
  move(50);
}
