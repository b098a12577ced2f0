"""A window that shows pictures at a steady rate; needs the package pygame."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import numpy as np

from meqc_marl.errors import InputError, how_to_install


class Window:
    """Opens with the first picture. A user who closes it goes on without.

    Args:
        title: Of the window.
        fps: Pictures a second at most.

    Raises:
        InputError: If pygame is not installed.
    """

    def __init__(self, title: str, fps: int) -> None:
        if importlib.util.find_spec("pygame") is None:
            raise InputError(f"render_mode 'human' needs the package pygame; {how_to_install('render')}.")
        self._title, self._fps = title, fps
        self._screen: Any = None
        self._clock: Any = None
        self.is_closed = False

    def show(self, picture: np.ndarray) -> None:
        """Show a picture, uint8 [H, W, 3], after waiting until the one before was seen for long enough."""
        if self.is_closed:
            return
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        import pygame

        height, width, _ = picture.shape
        if self._screen is None:
            pygame.display.init()
            pygame.display.set_caption(self._title)
            self._screen, self._clock = pygame.display.set_mode((width, height)), pygame.time.Clock()
        if any(event.type == pygame.QUIT for event in pygame.event.get()):
            self.close()
            return
        self._screen.blit(pygame.image.frombuffer(picture.tobytes(), (width, height), "RGB"), (0, 0))
        pygame.display.flip()
        self._clock.tick(self._fps)

    def close(self) -> None:
        """Close it, for good."""
        if self._screen is not None:
            import pygame

            pygame.display.quit()
            self._screen = None
        self.is_closed = True
