"""Image generator and critics of the adversarial methods, and ACME's two games made of them.

A method plays a game by yielding its losses, `(player, loss)`, from its own `losses`, and adds what the
towers are to feel of it to their loss. Pictures are square, `(b, 3, size, size)` in [-1, 1]. All randomness
comes from torch's generator, so a training that is resumed with its state goes on to the bit.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from savor.errors import OptionError
from savor.losses import (
    classes_told,
    gradient_penalty,
    standard_normal_divergence,
    taken_for_real,
    told_apart,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    Players = dict[str, list[nn.Parameter] | list[dict[str, Any]]]

# Edge of the map of states that the generator starts from and the critic ends with.
EDGE = 4
# StackGAN's weight of the divergence of codes.
DIVERGENCE = 2.0


class Drawn(NamedTuple):
    """Pictures and the distribution of codes that they were drawn from."""

    pictures: Tensor  # (b, 3, size, size) in [-1, 1]
    mean: Tensor  # (b, code)
    log_variance: Tensor  # (b, code)


class PictureGenerator(nn.Module):
    """Draws pictures from vectors, `(b, inputs) -> (b, 3, size, size)`.

        `(mean, log_variance) = A layer_norm(vector)`, `code = mean + exp(log_variance / 2) e`,
        `picture = tanh(up-blocks(B [code, noise]))`, e and noise standard normal

    The code is drawn in training and is its mean in evaluation (conditioning augmentation). A block doubles
    the edge: repeat each cell, convolve 3 x 3, batch norm, ReLU; it halves the channels, from `width` at
    4 x 4 on. Batch norm always sees 16 cells or more of a picture, so that a batch of one is trained on, too.

    Args:
        inputs: width of the vectors; only their direction counts.
        size: edge of the pictures, in pixels: 8, 16, 32, ...
        code: width of the code.
        noise: width of the noise.
        width: channels at 4 x 4, 8 or more.

    Raises:
        OptionError: a size that doubling 4 does not reach.

    Source: Zhang et al., StackGAN++ (TPAMI 2018), whose gated linear units are ReLUs here; 0.15 GFLOP a
    picture at the defaults.
    """

    def __init__(
        self, inputs: int, *, size: int = 64, code: int = 128, noise: int = 100, width: int = 256
    ) -> None:
        super().__init__()
        self.noise, self.size = noise, size
        self.scattered = True  # whether codes are drawn in training; otherwise they are the mean
        self.condition = nn.Linear(inputs, 2 * code)
        self.start = nn.Linear(code + noise, width * EDGE * EDGE, bias=False)
        self.first = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())
        channels = [max(8, width >> k) for k in range(doublings(size) + 1)]
        blocks = [_up(a, b) for a, b in pairwise(channels)]
        self.blocks = nn.Sequential(*blocks, nn.Conv2d(channels[-1], 3, 3, padding=1), nn.Tanh())
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, vectors: Tensor, noise: Tensor | None = None) -> Drawn:
        """Draw one picture a vector; `noise` `(b, noise)` is drawn where it is not given."""
        normed = functional.layer_norm(vectors.float(), vectors.shape[1:])
        mean, log_variance = self.condition(normed).float().chunk(2, 1)
        code = mean
        if self.training and self.scattered:
            code = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        if noise is None:
            noise = torch.randn(len(vectors), self.noise, device=vectors.device)
        states = self.start(torch.cat([code, noise], 1)).unflatten(1, (-1, EDGE, EDGE))
        states = self.first(states.contiguous(memory_format=torch.channels_last))
        return Drawn(self.blocks(states).float(), mean, log_variance)


class PictureCritic(nn.Module):
    """Tells real pictures from drawn ones, alone and beside a code, and names their title class.

    Strided 4 x 4 convolutions halve the edge down to 4 (batch norm but on the first, leaky ReLU of 0.2);
    `states` `(b, width, 4, 4)` is what the three judgements read.

    Args:
        code: width of the code; 0: pictures are judged alone.
        size: edge of the pictures, as in `PictureGenerator`.
        classes: title classes; 0: none are named.
        width: channels at 4 x 4, 8 or more.

    Source: the discriminator of StackGAN++ (TPAMI 2018) with ACME's class branch.
    """

    def __init__(self, code: int = 0, *, size: int = 64, classes: int = 0, width: int = 256) -> None:
        super().__init__()
        count = doublings(size)
        channels = [max(8, width >> (count - 1 - k)) for k in range(count)]
        layers: list[nn.Module] = [nn.Conv2d(3, channels[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for a, b in pairwise(channels):
            layers += [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        last = channels[-1]
        self.alone = nn.Linear(last * EDGE * EDGE, 1)
        self.pictured = nn.Linear(last * EDGE * EDGE, code) if code else None
        self.class_of = nn.Linear(last * EDGE * EDGE, classes) if classes else None
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the states that the judgements read, `(b, states)`."""
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        return torch.as_tensor(self.layers(pictures).flatten(1))

    def real(self, states: Tensor) -> Tensor:
        """Return logits for a real picture, `(b,)`."""
        return torch.as_tensor(self.alone(states)[:, 0]).float()

    def matching(self, states: Tensor, code: Tensor) -> Tensor:
        """Return logits for a real picture of what a code `(b, code)` says, `(b,)`."""
        assert self.pictured is not None
        # Projection (Miyato and Koyama, ICLR 2018): a twentieth of the cost of a joint convolution.
        inner = (self.pictured(states).float() * code.float()).mean(1) * code.shape[1] ** 0.5
        return torch.as_tensor(self.real(states) + inner)

    def classes(self, states: Tensor) -> Tensor:
        """Return logits of the title classes, `(b, classes)`."""
        assert self.class_of is not None
        return torch.as_tensor(self.class_of(states).float())


class EmbeddingCritic(nn.Module):
    """ACME's critic of vectors, `(b, dim) -> (b,)`: a perceptron dim -> 512 -> 256 -> 1, leaky ReLU of 0.2.

    It runs in fp32: the gradient penalty differentiates it twice.
    """

    def __init__(self, dim: int, hidden: tuple[int, int] = (512, 256)) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dim, hidden[0]),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden[0], hidden[1]),
            nn.LeakyReLU(0.2),
            # Only differences of scores count: a bias would never learn.
            nn.Linear(hidden[1], 1, bias=False),
        )

    def forward(self, vectors: Tensor) -> Tensor:
        """Return a score a vector; photos' are to be high."""
        with torch.autocast(vectors.device.type, enabled=False):
            return torch.as_tensor(self.layers(vectors.float())[:, 0])


class Game(nn.Module):
    """A game between critic and towers: how much the towers feel of it, and its curves.

    Args:
        weight: of the game in the towers' loss.
        begins: epoch, from 1, from which on they feel it; the other players learn from the first.
    """

    def __init__(self, weight: float, begins: int) -> None:
        super().__init__()
        self.weight, self.begins = weight, begins
        self.pull = weight
        self._sums: dict[str, tuple[float, int]] = {}

    def start_epoch(self, epoch: int) -> None:
        """Set what an epoch, counted from 1, weighs, and begin its curves."""
        self.pull = self.weight if epoch >= self.begins else 0.0
        self._sums = {}

    def note(self, **values: Tensor) -> None:
        """Add values of a step to the curves."""
        for name, value in values.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value.item(), count + 1)

    def curves(self) -> dict[str, float]:
        """Return the means of what was noted in this epoch."""
        return {name: round(total / count, 6) for name, (total, count) in self._sums.items()}


class Alignment(Game):
    """ACME's modality alignment: recipes' vectors are to be taken for photos' (WGAN-GP).

        `L_critic = mean D(recipe) - mean D(photo) + p (|gradient of D| - 1)^2`,
        `L_towers = -w mean D(recipe)`

    Args:
        dim: width of the vectors, those before normalisation.
        weight: w.
        penalty: p.
        begins: epoch, from 1, from which on the towers feel it; the critic learns from the first.

    Source: Wang et al., ACME (CVPR 2019), and its code; Gulrajani et al. (NeurIPS 2017).
    """

    def __init__(self, dim: int, *, weight: float = 0.005, penalty: float = 10.0, begins: int = 1) -> None:
        super().__init__(weight, begins)
        self.critic = EmbeddingCritic(dim)
        self.penalty = penalty

    def critic_loss(self, image: Tensor, recipe: Tensor) -> Tensor:
        """Return the critic's loss of vectors `(b, dim)`, which get no gradient from it."""
        image, recipe = image.detach(), recipe.detach()
        distance = self.critic(recipe).mean() - self.critic(image).mean()
        self.note(modality_gap=-distance)
        return torch.as_tensor(distance + self.penalty * gradient_penalty(self.critic, image, recipe))

    def recipe_loss(self, recipe: Tensor) -> Tensor:
        """Return the recipe tower's loss, weighted; the critic gets no gradient from it."""
        with unlearning(self.critic):
            return torch.as_tensor(-self.pull * self.critic(recipe).mean())


class Translation(Game):
    """ACME's translation consistency: a recipe's vector draws its photo, a photo's vector names ingredients.

        `L_picture = adversarial + class_weight CE(drawn) + 2 KL + reconstruction |drawn - photo|`,
        `L_words = BCE(ingredients) + CE(class)`, `L_towers = w (L_picture + L_words)`

    The adversarial term is the mean of two judgements, of the picture alone and beside its code
    (`savor.losses.taken_for_real`); the critic learns both, with the codes of other recipes as a third kind
    of fake, and the classes of real photos.

    The weight w acts where the losses enter the towers (`eased`), not on the generator: Adam ignores the
    scale of a loss but for its epsilon. So the generator learns at w = 0, too, and leaves the towers alone.

    Args:
        dim: width of the vectors.
        classes: title classes.
        ingredients: ingredient words told apart; 0: none.
        weight: w.
        begins: epoch, from 1, from which on the towers feel it.
        reconstruction: weight of the mean absolute difference from the own photo.
        adversarial: weight of the critic's judgement.
        class_weight: of the class of drawn pictures.
        balanced: scale the larger of `L_picture` and `L_words` down to the smaller, as ACME's code does.
        at_once: recipes of a step of `play`, about.
        size: edge of the pictures, in pixels.
        code: width of the generator's code.
        noise: width of its noise.
        width: channels of generator and critic at 4 x 4.
    """

    def __init__(
        self,
        dim: int,
        classes: int,
        *,
        ingredients: int = 0,
        weight: float = 0.002,
        begins: int = 1,
        reconstruction: float = 0.0,
        adversarial: float = 1.0,
        class_weight: float = 1.0,
        balanced: bool = False,
        at_once: int = 64,
        size: int = 64,
        code: int = 128,
        noise: int = 100,
        width: int = 256,
    ) -> None:
        super().__init__(weight, begins)
        self.generator = PictureGenerator(dim, size=size, code=code, noise=noise, width=width)
        self.critic = PictureCritic(code, size=size, classes=classes, width=width)
        self.to_classes = _perceptron(dim, (512,), classes)
        self.to_ingredients = _perceptron(dim, (512, 256), ingredients) if ingredients else None
        self.balanced, self.at_once = balanced, at_once
        self.reconstruction, self.adversarial, self.class_weight = reconstruction, adversarial, class_weight

    def players(self, generator_rate: float = 1.0, critic_rate: float = 1.0) -> Players:
        """Return "generator" and "critic" as groups, their learning rates relative to the towers'."""
        critic = list(self.critic.parameters())
        own = [one for name, one in self.named_parameters() if not name.startswith("critic.")]
        return {"generator": [player(own, generator_rate)], "critic": [player(critic, critic_rate)]}

    def play(
        self,
        recipe: Tensor,
        image: Tensor,
        photos: Tensor,
        category: Tensor,
        words: tuple[Tensor, Tensor] | None = None,
    ) -> Generator[tuple[str, Tensor], None, Tensor]:
        """Yield the losses of "critic" and "generator", `at_once` recipes at a time; return the towers'.

        A game needs many steps, retrieval large batches: so the players take several steps in a batch. What
        the towers are to feel is gathered at their vectors, `g = dL/dvectors`; the loss returned is 0 and has
        that gradient. Vectors are `(b, dim)`; the other arguments are those of `loss`.
        """
        vectors = torch.stack([recipe, image], 1)
        felt = vectors.detach().requires_grad_()
        parts = torch.arange(len(recipe), device=recipe.device).chunk(
            max(1, round(len(recipe) / self.at_once))
        )
        for part in parts:
            some = None if words is None else (words[0][part], words[1][part])
            drawn = self.draw(felt[part, 0])
            yield "critic", self.critic_loss(drawn, photos[part], category[part])
            yield "generator", self.loss(drawn, photos[part], felt[part, 1], category[part], some)
        gradient = torch.zeros_like(felt) if felt.grad is None else felt.grad / len(parts)
        return ((vectors - vectors.detach()) * gradient).sum()

    def draw(self, vectors: Tensor, noise: Tensor | None = None) -> Drawn:
        """Draw pictures from vectors `(b, dim)`, once for both players."""
        return self.generator(eased(vectors, self.pull), noise)  # type: ignore[no-any-return]

    def critic_loss(self, drawn: Drawn, photos: Tensor, category: Tensor) -> Tensor:
        """Return the critic's loss of drawn pictures and real photos `(b, 3, size, size)`.

        `category (b,)`; neither generator nor towers get a gradient from it.
        """
        critic, code = self.critic, drawn.mean.detach()
        real, fake = critic(photos), critic(drawn.pictures.detach())
        alone = told_apart(critic.real(real), critic.real(fake))
        wrong = torch.cat([critic.matching(fake, code), critic.matching(real, code.roll(1, 0))])
        beside = told_apart(critic.matching(real, code), wrong if len(code) > 1 else wrong[:1])
        self.note(told_apart=(alone + beside) / 2)
        return (alone + beside) / 2 + classes_told(critic.classes(real), category)

    def loss(
        self,
        drawn: Drawn,
        photos: Tensor,
        image: Tensor,
        category: Tensor,
        words: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Return the loss of generator, branches and, through `eased`, of the towers.

        Args:
            drawn: what `draw` made of the recipes.
            photos: the real ones, `(b, 3, size, size)`.
            image: the photos' vectors, `(b, dim)`.
            category: title classes, `(b,)`.
            words: which ingredient words the recipes have, `(b, ingredients)` of 0 and 1, and of which
                recipes they are known, `(b,)`; None: of none.
        """
        picture = self.picture_loss(drawn, photos, category)
        named = self.naming_loss(image, category, words)
        if self.balanced:
            picture, named = evened(picture, named)
        return picture + named

    def picture_loss(self, drawn: Drawn, photos: Tensor, category: Tensor) -> Tensor:
        """Return the loss from recipe to picture; the critic gets no gradient from it."""
        with unlearning(self.critic):
            states = self.critic(drawn.pictures)
            # The code is what the pictures are judged beside, not what is to please the critic.
            beside = self.critic.matching(states, drawn.mean.detach())
            fooling = (taken_for_real(self.critic.real(states)) + taken_for_real(beside)) / 2
            classes = classes_told(self.critic.classes(states), category)
        divergence = standard_normal_divergence(drawn.mean, drawn.log_variance)
        difference = (drawn.pictures - photos).abs().mean()
        self.note(taken_for_real=fooling, picture_error=difference, code_divergence=divergence)
        loss = self.adversarial * fooling + self.class_weight * classes + DIVERGENCE * divergence
        return loss + self.reconstruction * difference

    def naming_loss(
        self, image: Tensor, category: Tensor, words: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Return the loss from photo to title class and ingredient words."""
        normed = functional.layer_norm(eased(image, self.pull).float(), image.shape[1:])
        loss = classes_told(self.to_classes(normed), category)
        if self.to_ingredients is not None and words is not None:
            truth, known = words
            entropy = functional.binary_cross_entropy_with_logits(
                self.to_ingredients(normed).float(), truth, reduction="none"
            )
            loss = loss + (entropy.mean(1) * known).sum() / known.sum().clamp(min=1)
        return loss


def player(parameters: list[nn.Parameter], factor: float) -> dict[str, Any]:
    """Return a group for an optimiser of an adversarial player: no weight decay, little momentum.

    The momentum of 0.5 is that of DCGAN (Radford et al., ICLR 2016) and of ACME.
    """
    return {"params": parameters, "factor": factor, "betas": (0.5, 0.999), "weight_decay": 0.0}


def eased(vectors: Tensor, share: float) -> Tensor:
    """Return the same values, of which a share of the gradient goes back.

    >>> vectors = torch.ones(2, requires_grad=True)
    >>> (3 * eased(vectors, 0.1)).sum().backward()
    >>> vectors.grad
    tensor([0.3000, 0.3000])
    """
    # The difference is exactly 0, so that the values stay the same to the bit.
    return vectors.detach() + share * (vectors - vectors.detach())


def evened(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Scale the larger of two losses down to the smaller, by a ratio without gradient (ACME's code).

    >>> evened(torch.tensor(4.0), torch.tensor(1.0))
    (tensor(1.), tensor(1.))
    """
    least = torch.minimum(one, other).detach()
    return tuple(loss * (least / loss.detach().clamp(min=1e-12)) for loss in (one, other))  # type: ignore[return-value]


@contextmanager
def unlearning(*critics: nn.Module) -> Iterator[None]:
    """Let gradients through critics, but none to their weights, and spare the time to compute them."""
    parameters = [parameter for critic in critics for parameter in critic.parameters()]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def as_pictures(pixels: Tensor) -> Tensor:
    """Turn pixels, uint8 `(b, 3, h, w)`, into pictures in [-1, 1].

    >>> as_pictures(torch.tensor([0, 255], dtype=torch.uint8)).tolist()
    [-1.0, 1.0]
    """
    return pixels.float() / 127.5 - 1


def as_pixels(pictures: Tensor) -> Tensor:
    """Turn pictures in [-1, 1] into pixels, uint8 of the same shape.

    >>> as_pixels(torch.tensor([-1.0, 0.0, 1.0])).tolist()
    [0, 128, 255]
    """
    return ((pictures.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def mirrored(pictures: Tensor) -> Tensor:
    """Mirror every second picture, at random, `(b, 3, h, w)`."""
    turned = torch.rand(len(pictures), 1, 1, 1, device=pictures.device) < 0.5
    return torch.where(turned, pictures.flip(3), pictures)


def doublings(size: int) -> int:
    """Return how often 4 is doubled to give the edge of a picture.

    Raises:
        OptionError: doubling 4 does not reach it.

    >>> doublings(64)
    4
    """
    count = max(0, (size // EDGE).bit_length() - 1)
    if size < 2 * EDGE or size != EDGE << count:
        raise OptionError(f"picture_size={size}: must be 8, 16, 32, 64, 128, ...")
    return count


def _up(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Upsample(scale_factor=2),
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def _perceptron(inputs: int, hidden: tuple[int, ...], outputs: int) -> nn.Sequential:
    widths = (inputs, *hidden)
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))
