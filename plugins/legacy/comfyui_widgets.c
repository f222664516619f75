/* SPDX-License-Identifier: MIT */
/*
 * comfyui_widgets.c - the names of values that the editor lists by position alone.
 *
 * What the positions mean is told by the inputs that newer editors list for each widget, or, for the nodes that matter,
 * by a table.  Values of other nodes stay unknown.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "comfyui_graph.h"

#include <string.h>

/* ---- an object that is being made ---- */

bool comfy_make(comfy_maker *maker, legacy_input *in)
{
    maker->in = in;
    maker->object = legacy_alloc(in, sizeof *maker->object);
    if (!maker->object)
        return false;
    maker->object->type = RAIIAF_JSON_OBJECT;
    maker->tail = &maker->object->child;
    return true;
}

bool comfy_put(comfy_maker *maker, const legacy_json *name, const legacy_json *value)
{
    legacy_json *member = legacy_alloc(maker->in, sizeof *member);
    if (!member)
        return false;
    *member = *value;
    member->name = name->name;
    member->name_size = name->name_size;
    member->next = NULL;
    *maker->tail = member;
    maker->tail = &member->next;
    return true;
}

/* ---- widgets ---- */

/* The widgets of a node type, in order, without the one that tells what becomes of a seed after each run. */
static const struct {
    const char *type, *widgets[12];
} known[] = {
    {"KSampler", {"seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"}},
    {"KSamplerAdvanced",
     {"add_noise", "noise_seed", "steps", "cfg", "sampler_name", "scheduler", "start_at_step", "end_at_step",
      "return_with_leftover_noise"}},
    {"KSampler (Efficient)", {"seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"}},
    {"KSampler //Inspire", {"seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"}},
    {"ImpactKSamplerBasicPipe", {"seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"}},
    {"ImpactKSamplerAdvancedBasicPipe",
     {"add_noise", "noise_seed", "steps", "cfg", "sampler_name", "scheduler", "start_at_step", "end_at_step",
      "return_with_leftover_noise"}},
    {"SamplerCustom", {"add_noise", "noise_seed", "cfg"}},
    {"RandomNoise", {"noise_seed"}},
    {"KSamplerSelect", {"sampler_name"}},
    {"BasicScheduler", {"scheduler", "steps", "denoise"}},
    {"SDTurboScheduler", {"steps", "denoise"}},
    {"KarrasScheduler", {"steps", "sigma_max", "sigma_min", "rho"}},
    {"ExponentialScheduler", {"steps", "sigma_max", "sigma_min"}},
    {"PolyexponentialScheduler", {"steps", "sigma_max", "sigma_min", "rho"}},
    {"VPScheduler", {"steps", "beta_d", "beta_min", "eps_s"}},
    {"BetaSamplingScheduler", {"steps", "alpha", "beta"}},
    {"AlignYourStepsScheduler", {"model_type", "steps", "denoise"}},
    {"OptimalStepsScheduler", {"model_type", "steps", "denoise"}},
    {"GITSScheduler", {"coeff", "steps", "denoise"}},
    {"LTXVScheduler", {"steps", "max_shift", "base_shift", "stretch", "terminal"}},
    {"Flux2Scheduler", {"steps", "width", "height"}},
    {"CFGGuider", {"cfg"}},
    {"DualCFGGuider", {"cfg_conds", "cfg_cond2_negative"}},
    {"PerpNegGuider", {"cfg", "neg_scale"}},
    {"FluxGuidance", {"guidance"}},
    {"CLIPTextEncode", {"text"}},
    {"CLIPTextEncodeFlux", {"clip_l", "t5xxl", "guidance"}},
    {"CLIPTextEncodeSD3", {"clip_l", "clip_g", "t5xxl", "empty_padding"}},
    {"CLIPTextEncodeSDXL",
     {"width", "height", "crop_w", "crop_h", "target_width", "target_height", "text_g", "text_l"}},
    {"CLIPTextEncodeSDXLRefiner", {"ascore", "width", "height", "text"}},
    {"CLIPTextEncodeHunyuanDiT", {"bert", "mt5xl"}},
    {"CLIPTextEncodeHiDream", {"clip_l", "clip_g", "t5xxl", "llama"}},
    {"CLIPTextEncodePixArtAlpha", {"width", "height", "text"}},
    {"CLIPTextEncodeLumina2", {"system_prompt", "user_prompt"}},
    {"TextEncodeHunyuanVideo_ImageToVideo", {"prompt", "image_interleave"}},
    {"TextEncodeAceStepAudio", {"tags", "lyrics", "lyrics_strength"}},
    {"PhotoMakerEncode", {"text"}},
    {"BNK_CLIPTextEncodeAdvanced", {"text"}},
    {"smZ CLIPTextEncode", {"text"}},
    {"ImpactWildcardEncode", {"wildcard_text", "populated_text"}},
    {"ImpactWildcardProcessor", {"wildcard_text", "populated_text"}},
    {"TextEncodeQwenImageEdit", {"prompt"}},
    {"TextEncodeQwenImageEditPlus", {"prompt"}},
    {"GLIGENTextBoxApply", {"text", "width", "height", "x", "y"}},
    {"CheckpointLoaderSimple", {"ckpt_name"}},
    {"CheckpointLoader", {"config_name", "ckpt_name"}},
    {"unCLIPCheckpointLoader", {"ckpt_name"}},
    {"ImageOnlyCheckpointLoader", {"ckpt_name"}},
    {"CheckpointLoaderNF4", {"ckpt_name"}},
    {"UNETLoader", {"unet_name", "weight_dtype"}},
    {"UnetLoaderGGUF", {"unet_name"}},
    {"LoraLoader", {"lora_name", "strength_model", "strength_clip"}},
    {"LoraLoaderModelOnly", {"lora_name", "strength_model"}},
    {"EmptyLatentImage", {"width", "height", "batch_size"}},
    {"EmptySD3LatentImage", {"width", "height", "batch_size"}},
    {"EmptyChromaRadianceLatentImage", {"width", "height", "batch_size"}},
    {"EmptyFlux2LatentImage", {"width", "height", "batch_size"}},
    {"EmptyHunyuanLatentVideo", {"width", "height", "length", "batch_size"}},
    {"EmptyHunyuanImageLatent", {"width", "height", "batch_size"}},
    {"EmptyLTXVLatentVideo", {"width", "height", "length", "batch_size"}},
    {"EmptyMochiLatentVideo", {"width", "height", "length", "batch_size"}},
    {"EmptyCosmosLatentVideo", {"width", "height", "length", "batch_size"}},
    {"CosmosImageToVideoLatent", {"width", "height", "length", "batch_size"}},
    {"CosmosPredict2ImageToVideoLatent", {"width", "height", "length", "batch_size"}},
    {"StableCascade_EmptyLatentImage", {"width", "height", "compression", "batch_size"}},
    {"LatentUpscale", {"upscale_method", "width", "height", "crop"}},
    {"ImageScale", {"upscale_method", "width", "height", "crop"}},
    {"SVD_img2vid_Conditioning", {"width", "height", "video_frames", "motion_bucket_id", "fps", "augmentation_level"}},
    {"WanImageToVideo", {"width", "height", "length", "batch_size"}},
    {"WanFunControlToVideo", {"width", "height", "length", "batch_size"}},
    {"WanFunInpaintToVideo", {"width", "height", "length", "batch_size"}},
    {"WanFirstLastFrameToVideo", {"width", "height", "length", "batch_size"}},
    {"WanCameraImageToVideo", {"width", "height", "length", "batch_size"}},
    {"WanVaceToVideo", {"width", "height", "length", "batch_size"}},
    {"Wan22ImageToVideoLatent", {"width", "height", "length", "batch_size"}},
    {"HunyuanImageToVideo", {"width", "height", "length", "batch_size"}},
    {"LTXVImgToVideo", {"width", "height", "length", "batch_size"}},
    {"PrimitiveNode", {"value"}},
    {"PrimitiveInt", {"value"}},
    {"PrimitiveFloat", {"value"}},
    {"PrimitiveString", {"value"}},
    {"PrimitiveStringMultiline", {"value"}},
    {"PrimitiveBoolean", {"value"}},
    {"StringConcatenate", {"string_a", "string_b", "delimiter"}},
    {"Seed (rgthree)", {"seed"}},
    {"ResolutionSelector", {"aspect_ratio", "megapixels", "multiple"}},
    {"ShowText|pysssss", {"text_0"}},
};

legacy_json comfy_name(const char *name)
{
    return (legacy_json){.name = name, .name_size = strlen(name)};
}

static bool is_any(const legacy_json *value, const char *const *words)
{
    for (; *words; words++)
        if (legacy_is(value, *words))
            return true;
    return false;
}

/* What becomes of a seed after each run: a widget after it that no name is listed for. */
static bool is_control(const legacy_json *value)
{
    static const char *const words[] = {"fixed", "increment", "decrement", "randomize", "increment-wrap", NULL};
    return value && (value->type == RAIIAF_JSON_BOOLEAN || is_any(value, words));
}

static bool has_control(const legacy_json *name)
{
    static const char *const names[] = {"seed", "noise_seed", "value"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (name->name_size == strlen(names[i]) && memcmp(name->name, names[i], name->name_size) == 0)
            return true;
    return false;
}

/* Puts a value under its name; the one after it. */
static const legacy_json *put_value(comfy_maker *maker, const legacy_json *name, const legacy_json *value)
{
    if (!value)
        return NULL;
    comfy_put(maker, name, value);
    value = value->next;
    return has_control(name) && is_control(value) ? value->next : value;
}

static bool put_by_table(comfy_maker *maker, const legacy_json *type, const legacy_json *value)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!legacy_is(type, known[i].type))
            continue;
        for (size_t j = 0; j < sizeof known[i].widgets / sizeof *known[i].widgets && known[i].widgets[j]; j++) {
            const legacy_json name = comfy_name(known[i].widgets[j]);
            value = put_value(maker, &name, value);
        }
        return true;
    }
    return false;
}

/* By the inputs that newer editors list for the widgets, if they are as many as the values. */
static void put_by_inputs(comfy_maker *maker, const legacy_json *inputs, const legacy_json *value)
{
    const legacy_json **before = maker->tail;
    bool fits = true;
    for (const legacy_json *input = inputs ? inputs->child : NULL; input && fits; input = input->next) {
        size_t size;
        const char *text = legacy_value(maker->in, legacy_member(legacy_member(input, "widget"), "name"), &size);
        const legacy_json name = {.name = text, .name_size = size};
        fits = !text || value;
        if (text)
            value = put_value(maker, &name, value);
    }
    if (!fits || value) {
        maker->tail = before;
        *before = NULL;
    }
}

void comfy_put_widgets(comfy_maker *maker, const legacy_json *node, const legacy_json *type)
{
    const legacy_json *values = legacy_member(node, "widgets_values"), *value = values ? values->child : NULL;
    if (values && values->type == RAIIAF_JSON_OBJECT)
        for (; value; value = value->next)
            comfy_put(maker, value, value);
    else if (!put_by_table(maker, type, value))
        put_by_inputs(maker, legacy_member(node, "inputs"), value);
}
